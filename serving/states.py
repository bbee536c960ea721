"""The state of a connection in shared memory: what of it is in the hands of a worker."""

from __future__ import annotations

IDLE, BUSY, WRITING = 0, 1, 2
"""No request is in the hands of a worker; one is, of which a byte has come and whose answer has not left; or a part of
its answer has left, so that nobody else can answer it any more."""
