"""Pure decision on whether the champion fails in the same way as the challenger whose alarm fires.

If so, a shared dependency may be down and the judge decides. When in doubt the answer is no: the alarm rolls back.
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
    """The requests of both variants in the periods in which more than the tolerated share of the challenger's was bad.

    `tolerated` is the alarm's share of bad requests; `champion_rings` is whether the champion's alarm of the same
    measure is in ALARM.
    """

    tolerated: float
    challenger: Counted
    champion: Counted
    champion_rings: bool


def judged(state: RolloutState, alarm: Alarm) -> tuple[Release, Release] | None:
    """Challenger and champion, if the judge compares them by the alarm's own measure.

    None if the alarm is not about the challenger on trial, if the release is all at once or already promoted, or if the
    plan does not name the measure.
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

    The champion's alarm fires, or more than the tolerated share of its requests is bad; and the challenger is not
    clearly worse.
    """
    challenger, champion, tolerated = numbers.challenger, numbers.champion, numbers.tolerated
    if not challenger.requests or not champion.requests:
        return False
    if not numbers.champion_rings and champion.share <= tolerated:
        return False
    return not clearly_worse(challenger, champion, tolerated)


def _judges(plan: Plan, alarm: Alarm) -> bool:
    if alarm.measure == "errors":
        return any(metric.name == REQUESTS for metric in plan.metrics)
    return alarm.measure == "latency" and any(metric.kind == "quantile" for metric in plan.metrics)
