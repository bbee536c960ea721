"""Which alarms ring now, and what follows from that? Pure.

An alarm tells once that it begins to ring, and that message may be lost, or come when it cannot be acted upon. So each
tick looks at the levels: what rings, and since when.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.core import endings
from rollout.core.state import Phase, RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason

_LATE = 86_400  # seconds


@dataclass(frozen=True)
class Ringing:
    """An alarm that rings.

    Attributes:
        variant: The variant that it is about.
        reason: What a rollback because of it says.
        since: When it began to ring, epoch seconds.
    """

    variant: str
    reason: Reason
    since: float


def matters(state: RolloutState, now: float) -> bool:
    """Whether an alarm that rings would change anything.

    At rest that is so for the watch time after a promotion, and again after a rollout that came after it, during which
    the champion was left alone; and a day more, in which the journal or the alarms may not have answered.
    """
    if state.champion is None or state.phase in {Phase.ROLLING_BACK, Phase.RESTORING}:
        return False
    if state.challenger is not None:
        return True
    ended = max(state.promoted_at, state.verdict.at if state.verdict else 0.0)
    return state.previous is not None and now - ended <= endings.watch_seconds(state) + _LATE


def heard(state: RolloutState, ringing: Iterable[Ringing], now: float) -> RolloutState:
    """The state after what rings: a challenger is rolled back, and a champion that rang within its watch time.

    The state itself when nothing is to be done: an alarm that rings since before the rollout says nothing of it, and a
    previous champion that did not come up is not asked for again by the same ring.
    """
    for alarm in ringing:
        if state.decided is not None and alarm.since <= state.decided.at:
            continue  # the verdict was given while it rang: it was left to the judge
        if state.challenger is not None:
            after = endings.turn_back(state, alarm.reason, now, variant=alarm.variant, at=alarm.since)
        elif state.champion is not None and alarm.variant == state.champion.variant:
            after = endings.recalled(state, alarm.reason, now, alarm.since)
        else:
            continue
        if isinstance(after, RolloutState) and after is not state:
            return after
    return state


def withheld(state: RolloutState, ringing: Iterable[Ringing]) -> Reason | None:
    """Why the challenger gets no more traffic now, though nothing takes it back; None when it may."""
    champion, challenger = state.champion, state.challenger
    if challenger is None or (champion is not None and champion.variant == challenger.variant):
        return None  # a move to other instances gives nobody more
    names = [alarm.reason.name for alarm in ringing if alarm.variant == challenger.variant]
    return Reason("alarm", names[0], kind=Kind.STILL_RINGS) if names else None
