"""Which stacks are in the local cloud."""

from __future__ import annotations

LOCAL = "local"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_local(stack: str) -> bool:
    """Whether a stack is in the local cloud: its name starts with `local`."""
    return stack.startswith(LOCAL)
