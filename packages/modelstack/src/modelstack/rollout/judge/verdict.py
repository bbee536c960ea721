"""Judges every metric, and combines the findings into one answer."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter

from modelstack.rollout.judge.finding import Answer, Finding, Judged, Stage, can_be_better, on_metric
from modelstack.rollout.judge.metrics import Metric, PromoteWhen, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason


@dataclass(frozen=True)
class Findings:
    """The judge's answer on a trial: `worse` rolls back, `not worse` shows all that is required."""

    answer: Answer
    reason: Reason
    each: tuple[Finding, ...]


def judge(
    windows: Iterable[Window],
    *,
    metrics: Sequence[Metric],
    alpha: float,
    starts: Sequence[float] = (),
    steps: Sequence[int] = (),
    segments: int = 1,
    last: bool = True,
    promote_when: PromoteWhen = "not_worse",
) -> Findings:
    """Judge a trial from all its windows so far.

    The promises, over the whole trial and however often it is called:

    - a challenger that is worse by more than the margin on no metric is found `worse` with probability at most alpha:
      each of the K metrics needs evidence of K/alpha (Bonferroni; the metrics may depend on each other in any way);
    - one that is worse by more than the margin on any metric with `prove` is found `not worse` with probability at most
      alpha: each of these metrics needs evidence of 1/alpha (an intersection-union test; Berger, Technometrics 1982).
      In the last step, which decides on the promotion, the step's own evidence must reach that, because a challenger
      may fail only under the last step's load. In an earlier step the whole trial's evidence suffices, unless the
      step's own is below 1, that is, speaks against it;
    - with `promote_when="better"`, also, one that is better on none of the B metrics with `prove` that can show it is
      found `not worse` in the last step with probability at most alpha. Each null hypothesis is that the versions do
      not differ in the good direction, whatever the margin; one metric needs evidence of B/alpha against it, from the
      whole trial, and the last step alone must show every metric with `prove` not worse. A quantile with a margin above
      0 cannot show it, as its counts are of answers slower than the margin allows.

    The answer is `unknown` without data on a metric with `prove`, unless another is `worse`; also if any metric has a
    window whose sums cannot be of values within its range. `windows` are the closed ones since the trial
    began, of quantiles those since their pivots were fixed, in any order; `starts` are those of each
    step so far, epoch seconds; `segments` is the number of steps in all. `steps` are the numbers of the steps that
    begin at `starts`, if a step was interrupted; while the challenger has no traffic (-1), nothing is compared.
    """
    able = [metric for metric in metrics if metric.prove and can_be_better(metric)]
    better = max(1, len(able)) / alpha if last and promote_when == "better" else None
    stage = Stage(segments, last, worse=len(metrics) / alpha, not_worse=1 / alpha, better=better)
    parts = _by_step(windows, starts)
    numbers = steps or range(len(parts))
    parts = [part if number >= 0 else [] for part, number in zip(parts, numbers, strict=True)]
    judged = [on_metric(metric, parts, numbers, stage) for metric in metrics]
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
    reason = _of_all(behind, awaited)
    absent = [
        item.metric.name for item in judged if last and not item.awaited and item.finding.reason.kind is Kind.NO_DATA
    ]
    return Findings("not worse", replace(reason, facts={**reason.facts, "absent": absent}) if absent else reason, each)


def _by_step(windows: Iterable[Window], starts: Sequence[float]) -> list[list[Window]]:
    """The windows in order, a list per step; windows before the first step belong to it."""
    ordered = sorted(windows, key=attrgetter("start"))
    times = [window.start for window in ordered]
    ends = [bisect_left(times, start) for start in sorted(starts)[1:]]
    return [ordered[begin:end] for begin, end in pairwise([0, *ends, len(ordered)])]


def _better(awaited: list[Judged], able: list[Metric], needed: float, each: tuple[Finding, ...]) -> Findings:
    """Whether one metric is better, none of the others worse, and that one not worse in this step."""
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
    reason = decides.finding.reason
    return replace(reason, numbers={**reason.numbers, "metrics": float(len(awaited))})
