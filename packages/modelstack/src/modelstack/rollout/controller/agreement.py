"""Optimistic locking: a writer decides again when another one wrote the journal first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelstack.rollout.controller.ports import Journal
from modelstack.rollout.core.errors import Conflict
from modelstack.rollout.core.state import RolloutState

_CONFLICTS = 20
_Answer = TypeVar("_Answer")


def change(
    journal: Journal,
    decide: Callable[[RolloutState], RolloutState | _Answer],
    write: Callable[[RolloutState], RolloutState] | None = None,
) -> RolloutState | _Answer:
    """Write `decide`'s state to the journal, and return it; Conflict if the journal keeps changing.

    If `decide` returns the same state, or anything that is not a state, that is returned and nothing is written.
    `write` replaces the journal's own way of writing.
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
