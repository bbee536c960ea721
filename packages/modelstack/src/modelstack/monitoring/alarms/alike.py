"""Pure decision on whether the champion fails in the same way as the challenger whose alarm fires.

If so, a shared dependency may be down and the judge decides. When in doubt the answer is no: the alarm rolls back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.rollout.core.decision import REQUESTS
from modelstack.rollout.core.failing import Counted, clearly_worse
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState


@dataclass(frozen=True)
class Numbers:
    """The requests of both variants that are compared; see `compared`.

    `tolerated` is the alarm's share of bad requests; `champion_fires` is whether the champion's alarm of the same
    measure is in ALARM.
    """

    tolerated: float
    challenger: Counted
    champion: Counted
    champion_fires: bool


def compared(
    windows: Sequence[tuple[Counted, Counted]], recent: int, tolerated: float, *, champion_fires: bool
) -> Numbers:
    """Compare the challenger's bad windows with the champion in them, or with its worst ones of as long a time before.

    Both versions may fail for some seconds now and then, each at other times. Such a burst of the challenger is no
    worse than one of the champion's. The longer it lasts, the fewer of the champion's windows in turn are as bad.

    Args:
        windows: Requests of challenger and champion in consecutive windows.
        recent: How many of the last windows the alarm may have counted.
        tolerated: The alarm's share of bad requests.
        champion_fires: Whether the champion's alarm of the same measure is in ALARM.
    """
    bad = [at for at in range(len(windows) - recent, len(windows)) if windows[at][0].share > tolerated]
    while bad and bad[0] > 0 and windows[bad[0] - 1][0].share > tolerated:
        bad.insert(0, bad[0] - 1)
    challenger, same = (_total(windows[at][side] for at in bad) for side in (0, 1))
    before = [champion for _, champion in windows[: bad[0]]] if bad else []
    stretches = [_total(before[at : at + len(bad)]) for at in range(len(before) - len(bad) + 1)]
    champion = same if champion_fires else max([same, *stretches], key=lambda counted: counted.share)
    return Numbers(tolerated, challenger, champion, champion_fires)


def _total(counts: Iterable[Counted]) -> Counted:
    each = list(counts)
    return Counted(sum(one.bad for one in each), sum(one.requests for one in each))


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
    if not numbers.champion_fires and champion.share <= tolerated:
        return False
    return not clearly_worse(challenger, champion, tolerated)


def _judges(plan: Plan, alarm: Alarm) -> bool:
    if alarm.measure == "errors":
        return any(metric.name == REQUESTS for metric in plan.metrics)
    return alarm.measure == "latency" and any(metric.kind == "quantile" for metric in plan.metrics)
