"""Does an alarm on the challenger say something about it? Not when the champion fails in the same way. Pure.

    judged(state, alarm)                        # challenger and champion; None: the alarm decides alone
    numbers = Numbers(0.05, challenger=Counted(10, 20), champion=Counted(93, 180), champion_rings=True)
    fails_alike(numbers)                        # True: a dependency of both is down, say; the judge compares them

When in doubt the answer is no, and the alarm rolls back.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alarms.alarm import Alarm
from rollout.core.decision import REQUESTS
from rollout.core.failing import Counted, clearly_worse
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class Numbers:
    """What stands behind an alarm on the challenger, of both variants in the same periods.

    Attributes:
        tolerated: The share of bad requests that the alarm tolerates.
        challenger: Its requests, in the periods in which more than the tolerated share of them was bad.
        champion: Those of the champion, in the same periods.
        champion_rings: Whether the champion's alarm of the same measure is in ALARM.
    """

    tolerated: float
    challenger: Counted
    champion: Counted
    champion_rings: bool


def judged(state: RolloutState, alarm: Alarm) -> tuple[Release, Release] | None:
    """Challenger and champion, when the judge compares them by the alarm's own measure.

    None when the alarm is not about the challenger that is on trial, and where no judge would find out: nothing is
    compared in an all-at-once release and after a promotion, and no measure that the plan does not name.
    """
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None or not state.on_trial or plan.at_once:
        return None
    if alarm.variant != challenger.variant or champion.variant == challenger.variant:
        return None
    if alarm.at is None or alarm.at < state.started_at or not _judges(plan, alarm):
        return None
    return challenger, champion


def fails_alike(numbers: Numbers) -> bool:
    """Whether the champion is about as bad as the challenger.

    That is: the champion's alarm rings, or more than the tolerated share of its requests is bad; and the challenger is
    not clearly worse.
    """
    challenger, champion, tolerated = numbers.challenger, numbers.champion, numbers.tolerated
    if not challenger.requests or not champion.requests:
        return False
    if not numbers.champion_rings and champion.share <= tolerated:
        return False
    return not clearly_worse(challenger, champion, tolerated)


def _judges(plan: Plan, alarm: Alarm) -> bool:
    """Whether the plan's metrics include what the alarm is about."""
    if alarm.measure == "errors":
        return any(metric.name == REQUESTS for metric in plan.metrics)
    return alarm.measure == "latency" and any(metric.kind == "quantile" for metric in plan.metrics)
