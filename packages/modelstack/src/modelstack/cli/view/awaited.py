"""The outcome of the rollout that a person named, from the journal alone. Pure.

A release may have been tried before. An older verdict on it counts only if it still holds: the release is champion now,
or is rejected. A rollout's id means that rollout and no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from modelstack.cli.view.releases import find, known
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Outcome, Verdict

Stands = Outcome | Literal["running", "waiting"]
"""The outcome; or that it is running, or waits for a person."""
_ROLLOUT = re.compile(r"\d{6,}-.+")


@dataclass(frozen=True)
class Awaited:
    """A rollout's id or any name of its release, awaited `since` a time in epoch seconds."""

    word: str
    since: float

    def stands(self, state: RolloutState) -> Stands | None:
        """Its state; None when the journal does not know it yet. Raises OperatorError when several releases match."""
        if _ROLLOUT.fullmatch(self.word):
            return self._of_rollout(state)
        name = find(self.word, known(state))
        return self._of_release(state, name.id) if name else None

    def _of_rollout(self, state: RolloutState) -> Stands | None:
        ended = next((item for item in _verdicts(state) if item.rollout_id == self.word), None)
        if ended is not None:
            return ended.outcome
        if state.rollout_id == self.word:
            return _under_way(state)
        events = [event.kind for event in state.history if event.rollout_id == self.word]
        told = [kind for kind in events if kind in get_args(Outcome)]
        return cast(Outcome, told[-1]) if told else None

    def _of_release(self, state: RolloutState, release: str) -> Stands | None:
        champion, challenger = state.champion, state.challenger
        if challenger is not None and challenger.id == release:
            return _under_way(state)
        if champion is not None and champion.id == release:
            return "running" if state.phase is Phase.RESTORING else "promoted"
        if release in state.rejected:
            return "rolled_back"
        ended = [item for item in _verdicts(state) if item.release == release and item.at >= self.since]
        return ended[-1].outcome if ended else None


def _verdicts(state: RolloutState) -> list[Verdict]:
    kept = [item for item in (state.verdict, state.moved, *state.rejected.values()) if item is not None]
    return sorted(kept, key=lambda item: item.at)


def _under_way(state: RolloutState) -> Stands:
    return "waiting" if state.phase in {Phase.PAUSED, Phase.HELD} else "running"
