"""The channel between the supervisor and a worker: connections one way, words of four bytes both ways.

The supervisor keeps a descriptor of each connection that it hands over, so a connection survives its worker's crash.
"""

from __future__ import annotations

import socket
import struct

READY, DRAIN = 0xFFFFFFFF, 0xFFFFFFFE
"""The worker can answer; the supervisor wants it to end. Any other word is a connection's slot."""


class Channel:
    """One end of the channel, on a stream socket of the family AF_UNIX."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._rest = b""

    def hand_over(self, slot: int, connection: socket.socket) -> None:
        """Give a connection to the worker. Raises OSError when it has ended."""
        socket.send_fds(self.end, [struct.pack("<I", slot)], [connection.fileno()])

    def say(self, word: int) -> None:
        """Send a word. Raises OSError when the other end has ended."""
        self.end.sendall(struct.pack("<I", word))

    def words(self) -> list[int] | None:
        """The received words; None when the other end has ended."""
        try:
            data = self.end.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        data = self._rest + data
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        return [word for (word,) in struct.iter_unpack("<I", data[:whole])]

    def taken(self) -> tuple[int, socket.socket | None] | None:
        """A received word, or a slot and its connection; None without any. EOFError when the supervisor has ended."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.end, 4, 1)
        except BlockingIOError:
            return None
        except OSError:  # it was killed with unread words
            raise EOFError from None
        if not data:
            raise EOFError
        (word,) = struct.unpack("<I", data)
        return word, socket.socket(fileno=descriptors[0]) if descriptors else None
