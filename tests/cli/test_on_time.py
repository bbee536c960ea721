"""When a loop wakes that waits for a time, or for bytes."""

from __future__ import annotations

import selectors
import socket
import time

from cli.on_time import OnTime

WAIT = 0.0102  # epoll would take the next whole millisecond, 0.8 ms later


def test_it_wakes_within_the_millisecond():
    late: list[float] = []
    with OnTime() as selector:
        for _ in range(50):
            begun = time.monotonic()
            assert selector.select(WAIT) == []
            late.append(time.monotonic() - begun - WAIT)
    assert 0 <= min(late) < 0.0005


def test_bytes_wake_it_at_once():
    ours, theirs = socket.socketpair()
    with OnTime() as selector, ours, theirs:
        selector.register(ours, selectors.EVENT_READ)
        theirs.send(b"x")
        [(key, _)] = selector.select(60)
        assert key.fileobj is ours
