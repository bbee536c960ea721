"""The state of a connection in shared memory: whether a worker holds a request of it."""

from __future__ import annotations

IDLE, BUSY = 0, 1
"""No request is in the hands of a worker, or one is: of which a byte has come, and whose answer has not left."""
