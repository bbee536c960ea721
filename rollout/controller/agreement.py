"""How do writers agree? Each decides from the state that it read, and decides anew when another wrote first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rollout.controller.ports import Journal
from rollout.core.errors import Conflict
from rollout.core.state import RolloutState

_CONFLICTS = 20
_Answer = TypeVar("_Answer")


def change(
    journal: Journal,
    decide: Callable[[RolloutState], RolloutState | _Answer],
    write: Callable[[RolloutState], RolloutState] | None = None,
) -> RolloutState | _Answer:
    """Write what is decided on the journal's state.

    Args:
        journal: Keeps the state.
        decide: The state after the one that was read. Nothing is written when it is the same one, or is no state but
            an answer that says why not.
        write: How it is written; the journal's own way when left out.

    Returns:
        The state as it was written, or what `decide` said in its place.

    Raises:
        Conflict: The journal keeps changing.
        Unreachable: The journal does not answer.
    """
    for _ in range(_CONFLICTS):
        state = journal.read()
        after = decide(state)
        if after is state or not isinstance(after, RolloutState):
            return after
        try:
            return (write or journal.write)(after)
        except Conflict:
            continue
    raise Conflict(f"the journal of {journal.read().endpoint} keeps changing: call again")
