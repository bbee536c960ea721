"""The firing alarms, and what follows. Each tick reads them, since an alarm's event may be lost or come too early."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelstack.rollout.core import endings
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_LATE = 86_400  # seconds


@dataclass(frozen=True)
class VariantAlarm:
    """A firing alarm; `reason` is that of a rollback, `since` is in epoch seconds."""

    variant: str
    reason: Reason
    since: float


def matters(state: RolloutState, now: float) -> bool:
    """Whether a firing alarm would change anything.

    At rest that is so for the watch time after a promotion, and again after a later rollout, during which the champion
    was left alone; plus a day, in which the journal or the alarms may not have answered.
    """
    if state.champion is None or state.phase in {Phase.ROLLING_BACK, Phase.RESTORING}:
        return False
    if state.challenger is not None:
        return True
    ended = max(state.promoted_at, state.verdict.at if state.verdict else 0.0)
    return state.previous is not None and now - ended <= endings.watch_seconds(state) + _LATE


def heard(state: RolloutState, firing: Iterable[VariantAlarm], now: float) -> RolloutState:
    """The state after the firing alarms: a challenger is rolled back, or a champion within its watch time.

    An alarm that fired before the rollout says nothing about it, and does not request a previous champion again that
    failed to start. The result is `state` itself if nothing follows.
    """
    for alarm in firing:
        if state.decided is not None and alarm.since <= state.decided.at:
            continue  # it fired before the verdict, which was left to the judge
        if state.challenger is not None:
            after = endings.turn_back(state, alarm.reason, now, variant=alarm.variant, at=alarm.since)
        elif state.champion is not None and alarm.variant == state.champion.variant:
            after = endings.recalled(state, alarm.reason, now, alarm.since)
        else:
            continue
        if isinstance(after, RolloutState) and after is not state:
            return after
    return state


def withheld(state: RolloutState, firing: Iterable[VariantAlarm]) -> Reason | None:
    """Why the challenger gets no more traffic now, though nothing rolls it back; None when it may."""
    champion, challenger = state.champion, state.challenger
    if challenger is None or (champion is not None and champion.variant == challenger.variant):
        return None  # a move to other instances adds no traffic
    names = [alarm.reason.name for alarm in firing if alarm.variant == challenger.variant]
    return Reason("alarm", names[0], kind=Kind.STILL_FIRING) if names else None
