"""The answer on every metric, and the one answer that they amount to."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Literal

from rollout.judge.finding import Answer, Finding, Judged, Stage, can_be_better, on_metric
from rollout.judge.metrics import Metric, Window
from rollout.kinds import Kind
from rollout.reason import Reason

PromoteWhen = Literal["not_worse", "better"]


@dataclass(frozen=True)
class Findings:
    """The judge's answer on a trial.

    Attributes:
        answer: `worse`: roll back. `not worse`: all that was asked for is shown. `unknown`: keep collecting.
        reason: That of the metric that decides.
        each: One finding a metric, in the order of the metrics.
    """

    answer: Answer
    reason: Reason
    each: tuple[Finding, ...]


def judge(
    windows: Iterable[Window],
    *,
    metrics: Sequence[Metric],
    alpha: float,
    starts: Sequence[float] = (),
    segments: int = 1,
    last: bool = True,
    promote_when: PromoteWhen = "not_worse",
) -> Findings:
    """Judge a trial from all its windows so far.

    What is promised, over the whole trial and however often it is asked:

    - a challenger that is worse by more than the margin on no metric is found `worse` with probability at most alpha:
      each of the K metrics needs evidence of K/alpha (Bonferroni; the metrics may depend on each other in any way);
    - one that is worse by more than the margin on any metric with `prove` is found `not worse` with probability at most
      alpha: each of these metrics needs evidence of 1/alpha (an intersection-union test; Berger, Technometrics 1982).
      In the last step, which decides on the promotion, the step's own evidence must reach that: what fails only under
      the last step's load is not promoted on what was seen before. In an earlier step the whole trial's evidence does,
      as long as the step's own does not fall below 1, that is, does not speak against it;
    - with `promote_when="better"`, moreover, one that is better on none of the B metrics with `prove` on which that can
      be shown is found `not worse` in the last step with probability at most alpha. Of each the null hypothesis is that
      challenger and champion do not differ in the good direction, whatever the margin; one needs evidence of B/alpha
      against it, from the whole trial, and all others with `prove` are to be not worse. The last step alone must show
      every metric with `prove` not worse, the better one too. It cannot be shown of a quantile with a margin above 0,
      as its counts are those of answers slower than the margin allows.

    Args:
        windows: The closed windows since the trial began, in any order; of quantiles, since their pivots were fixed.
        metrics: What to compare.
        alpha: The probability of a wrong answer, as above.
        starts: When each step so far began, epoch seconds; evidence of failure is also gathered from each anew.
        segments: How many steps there will be in all.
        last: Whether the present step is the last, after which comes the promotion.
        promote_when: What `not worse` asks for in the last step.

    Returns:
        The answer. Without data on any metric with `prove` it is `unknown`, unless another is `worse`. So it is when
        any metric, with `prove` or not, has a window whose sums cannot be of values within its range.
    """
    able = [metric for metric in metrics if metric.prove and can_be_better(metric)]
    better = max(1, len(able)) / alpha if last and promote_when == "better" else None
    stage = Stage(segments, last, worse=len(metrics) / alpha, not_worse=1 / alpha, better=better)
    steps = _by_step(windows, starts)
    judged = [on_metric(metric, steps, stage) for metric in metrics]
    each = tuple(item.finding for item in judged)
    worse = [item for item in judged if item.finding.answer == "worse"]
    if worse:
        return Findings("worse", max(worse, key=lambda item: item.worse).finding.reason, each)
    for item in judged:
        if item.unfit:
            return Findings("unknown", item.finding.reason, each)
    if not any(metric.prove for metric in metrics):
        return Findings("unknown", Reason("judge", "metrics", kind=Kind.NONE_PROVES), each)
    awaited = [item for item in judged if item.awaited]
    if better is not None:
        return _better(awaited, able, better, each)
    behind = max(awaited, key=lambda item: item.lacks)
    if behind.lacks > 0:
        return Findings("unknown", behind.finding.reason, each)
    return Findings("not worse", _of_all(behind, awaited), each)


def _by_step(windows: Iterable[Window], starts: Sequence[float]) -> list[list[Window]]:
    """The windows in their order, in a list for each step; those before the first belong to it."""
    ordered = sorted(windows, key=attrgetter("start"))
    times = [window.start for window in ordered]
    ends = [bisect_left(times, start) for start in sorted(starts)[1:]]
    return [ordered[begin:end] for begin, end in pairwise([0, *ends, len(ordered)])]


def _better(awaited: list[Judged], able: list[Metric], needed: float, each: tuple[Finding, ...]) -> Findings:
    """Whether one metric is better, none of the others worse, and it not worse in this step."""
    if not able:
        return Findings("unknown", Reason("judge", "metrics", kind=Kind.NONE_CAN_BE_BETTER), each)
    best = max((item for item in awaited if item.metric in able), key=lambda item: item.better)
    shown = best.better >= math.log(needed)
    behind = [item for item in awaited if (item.lacks_if_better if shown and item is best else item.lacks) > 0]
    if behind:
        return Findings("unknown", max(behind, key=lambda item: item.lacks).finding.reason, each)
    reason = _of_all(best, awaited)
    found = replace(reason, facts={**reason.facts, "better": shown})
    return Findings("not worse" if shown else "unknown", found, each)


def _of_all(decides: Judged, awaited: list[Judged]) -> Reason:
    """The reason of the metric that decides, and how many metrics were waited for."""
    reason = decides.finding.reason
    return replace(reason, numbers={**reason.numbers, "metrics": float(len(awaited))})
