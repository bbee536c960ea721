"""A model server that answers at once, with as little work as can be: one thread, one `send` for each `recv`.

    SAGEMAKER_BIND_TO_PORT=8080 python instant_model.py serve

It is what `bench.invoke` puts behind an endpoint, so that the local cloud is measured and not a model. It reads of a
request no more than where it ends.
"""

import os
import selectors
import socket
from typing import cast

ANSWER = b'{"predictions": [{"late": false, "probability": 0.25}]}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


def length(data: bytes | bytearray) -> int:
    """Bytes of the first request in `data`; 0 while its head is not whole."""
    head = data.find(b"\r\n\r\n") + 4
    if head < 4:
        return 0
    _, named, rest = data[:head].lower().partition(b"\r\ncontent-length:")
    return head + (int(rest[: rest.find(b"\r\n")]) if named else 0)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])))
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, bytearray())
            elif not answer(cast(socket.socket, key.fileobj), key.data):
                selector.unregister(key.fileobj)


def answer(connection: socket.socket, waiting: bytearray) -> bool:
    """Answer what has come as a whole; False when the other side is gone."""
    try:
        data = connection.recv(65536)
        waiting += data
        while (end := length(waiting)) and len(waiting) >= end:
            connection.sendall(REPLY)
            del waiting[:end]
    except OSError:
        data = b""
    if not data:
        connection.close()
    return bool(data)


if __name__ == "__main__":
    main()
