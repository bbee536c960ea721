"""The state of a connection in shared memory."""

from __future__ import annotations

IDLE, BUSY, WRITING = 0, 1, 2
"""No request; a request whose answer has not begun to leave; or a partly sent answer, which only its worker can end."""
