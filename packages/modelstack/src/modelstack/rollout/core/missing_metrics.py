"""What a trial does while the counts of its step are missing.

A share of traffic is unproven until its step has passed. Without counts it is kept for `metrics_timeout_seconds`, and
then the challenger goes back to its last proven share, or to 0. The step begins again once counts have come for as long
without a gap, so a source that flaps moves the weights at most twice in that time, and `RESUMES` times in a trial.

Which windows count never depends on what was counted in them: see `segments`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

from modelstack.rollout.core.plan import ERRORS, Plan
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

RESUMES = 3
"""How often a trial's step begins again; after one more reduction the challenger waits for the timeout."""
_MOST_LACKING = 0.05
"""The share of a trial's windows that may lack the counts of a version. These may be the ones in which it fails."""
_PLAINLY = 10  # requests: at random, that many are expected where none came once in 20,000 windows


def proven_percent(plan: Plan, state: RolloutState) -> int:
    """The challenger's percent of traffic in the last step that passed its verdict; 0 before the first."""
    passed = state.phase is Phase.PAUSED or state.approved >= state.step
    return plan.weight(state.step if passed else state.step - 1)


def missing_since(plan: Plan, state: RolloutState, windows: Sequence[Window] | None, now: float) -> float | None:
    """Since when a step lacks counts, epoch seconds; None while they come, or nothing is compared by them.

    They are missing when the metrics are unreachable, and when two windows in a row are overdue.
    """
    if plan.at_once or not state.step_starts or state.phase not in {Phase.BAKING, Phase.HELD}:
        return None
    if windows is None:
        return now if state.missing_since is None else state.missing_since
    ends = (item.start + item.seconds for item in windows if _is_known(item, _percent(state)))
    newest = max(ends, default=state.step_starts[0] + plan.window_seconds)
    due = newest + 2 * plan.window_seconds + plan.settle
    return due if now > due else None


def is_reduction_due(plan: Plan, state: RolloutState, since: float | None, now: float) -> bool:
    """Whether counts have been missing for so long that the challenger goes back to its last proven share."""
    if since is None or state.reduced or proven_percent(plan, state) >= plan.weight(state.step):
        return False
    return now - since >= plan.metrics_timeout_seconds


def is_resumption_due(plan: Plan, state: RolloutState, windows: Sequence[Window] | None) -> bool:
    """Whether a reduced step begins again: counts came without a gap for as long as they may be missing."""
    if windows is None or state.phase is not Phase.BAKING or len(state.reductions) > RESUMES:
        return False
    newest = start = None
    for window in sorted(windows, key=lambda item: item.start, reverse=True):
        end = window.start + window.seconds
        if window.start < state.reductions[-1].at or not _is_known(window, _percent(state)) or start not in {None, end}:
            break
        newest, start = newest or end, window.start
    return newest is not None and start is not None and newest - start >= plan.metrics_timeout_seconds


def segments(plan: Plan, state: RolloutState) -> list[tuple[float, int]]:
    """When each step began, was reduced and began again, epoch seconds, and the step whose share was served from then.

    A window that a reduction falls into counts for the lower share, and for nothing when that is 0 (-1).
    """
    found = [(at, at, step) for step, at in enumerate(state.step_starts)]
    for item in state.reductions:
        found.append((item.at, item.at - plan.window_seconds, item.step - 1 if plan.weight(item.step - 1) else -1))
        if item.resumed is not None:
            found.append((item.resumed, item.resumed, item.step))
    ordered, latest = list[tuple[float, int]](), 0.0
    for _, start, step in sorted(found):
        latest = max(latest, start)
        ordered.append((latest, step))
    return ordered


def comparable(plan: Plan, state: RolloutState, windows: Sequence[Window]) -> list[Window]:
    """The windows without those that plainly lack the counts of one version: both are compared over the same time.

    Otherwise an incident of both would count against the version whose counts are there. If all lack those of the same
    version, nothing can be compared, and they stay, so that the judge says of which it has no data.
    """
    served = segments(plan, state)
    starts = [start for start, _ in served]

    def percent(window: Window) -> int:
        at = bisect_right(starts, window.start) - 1
        return plan.weight(served[at][1] if at >= 0 else 0)

    known = [window for window in windows if _is_known(window, percent(window))]
    one_sided = not known and len({ERRORS.name in window.challenger for window in windows}) == 1
    return list(windows) if one_sided else known


def lacking(plan: Plan, state: RolloutState, windows: Sequence[Window]) -> Reason | None:
    """Why a step may not end: too many of the trial's windows plainly lack the counts of one version, or of both.

    The longest gap of both does not count: a short one may be one incident, which decides nothing, and a long one takes
    the share away. Nor does a gap at a reduced share, or one that has not ended.
    """
    counted = [window for window in windows if _has_counts(window)]
    newest = max((window.start for window in counted), default=0.0)
    before = [window for window in windows if window.start < newest and not _is_reduced(plan, state, window)]
    gaps = [len(list(gap)) for known, gap in groupby(before, _has_counts) if not known]
    lacks = len(counted) - len(comparable(plan, state, counted)) + sum(gaps) - max(gaps, default=0)
    if lacks <= _MOST_LACKING * len(windows):
        return None
    numbers = {"lacking": float(lacks), "windows": float(len(windows)), "allowed": _MOST_LACKING}
    return Reason("judge", "metrics", numbers=numbers, kind=Kind.METRICS_LACKING)


def _has_counts(window: Window) -> bool:
    return ERRORS.name in window.champion or ERRORS.name in window.challenger


def _is_reduced(plan: Plan, state: RolloutState, window: Window) -> bool:
    ends = ((item.at - plan.window_seconds, item.resumed or math.inf) for item in state.reductions)
    return any(begin <= window.start < end for begin, end in ends)


def _percent(state: RolloutState) -> int:
    return state.weights.get(state.challenger.variant, 0) if state.challenger else 0


def _is_known(window: Window, percent: int) -> bool:
    """Whether the requests of both versions are counted, of which the challenger gets so many percent.

    Some platforms have no data point without a request. So one version may have none, unless its share and the other's
    requests say that it plainly had some.
    """
    champion, challenger = window.champion.get(ERRORS.name), window.challenger.get(ERRORS.name)
    if champion is not None and challenger is not None:
        return True
    if champion is not None:
        return champion.count * percent < _PLAINLY * (100 - percent)
    return challenger is not None and challenger.count * (100 - percent) < _PLAINLY * percent
