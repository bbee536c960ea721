"""Has the rollout ended that a person named, and how? Found in the journal alone. Pure.

    awaited = Awaited("77c1aa20b3f1", since=time.time())
    awaited.stands(state)     # "running", "promoted", ...; None while the journal does not know of it

A release may have been tried before. So a verdict on it that is older than the wait counts only where it still says
what is true: the release is champion now, or is rejected. A rollout's id means that rollout and no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from cli.view.releases import find, known
from rollout.core.state import Phase, RolloutState
from rollout.core.verdict import Outcome, Verdict

Stands = Outcome | Literal["running", "waiting"]
"""How a rollout ended; that it goes on; or that it waits for a person."""
_ROLLOUT = re.compile(r"\d{6,}-.+")


@dataclass(frozen=True)
class Awaited:
    """What is waited for.

    Attributes:
        word: The id of a rollout, or a name of its release.
        since: Since when, epoch seconds.
    """

    word: str
    since: float

    def stands(self, state: RolloutState) -> Stands | None:
        """How it stands; None when it has not begun, as far as the journal knows.

        Raises:
            OperatorError: The word names the model of several releases.
        """
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
    """Those that were carried out, the last one last."""
    kept = [item for item in (state.verdict, state.moved, *state.rejected.values()) if item is not None]
    return sorted(kept, key=lambda item: item.at)


def _under_way(state: RolloutState) -> Stands:
    return "waiting" if state.phase in {Phase.PAUSED, Phase.HELD} else "running"
