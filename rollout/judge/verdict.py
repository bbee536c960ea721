"""The answer on every metric, and the one answer that they amount to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rollout.judge.evidence import Evidence
from rollout.judge.means import Means
from rollout.judge.rates import Rates
from rollout.judge.scale import scaled, span, unfit
from rollout.metrics import Metric, Tally, Window
from rollout.state import Reason

Answer = Literal["worse", "not worse", "unknown"]
PromoteWhen = Literal["not_worse", "better"]
OUT_OF_RANGE = "windows_out_of_range"  # the number in the reason of a metric with values out of its range


@dataclass(frozen=True)
class Finding:
    """The judge's answer on one metric, with the reason in words and numbers."""

    metric: str
    answer: Answer
    reason: Reason


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


@dataclass(frozen=True)
class _Judged:
    """A finding, and its evidence as logs beside what is needed."""

    metric: Metric
    finding: Finding
    worse: float
    lacks: float  # log of needed over present evidence that it is not worse
    better: float
    unfit: bool = False  # there are values out of its range, so nothing that is known of it can be believed


def judge(
    windows: Iterable[Window],
    *,
    metrics: Sequence[Metric],
    alpha: float,
    starts: Sequence[float] = (),
    segments: int = 1,
    promote_when: PromoteWhen = "not_worse",
) -> Findings:
    """Judge a trial from all its windows so far.

    What is promised, over the whole trial and however often it is asked:

    - a challenger that is worse by more than the margin on no metric is found `worse` with probability at most alpha:
      each of the K metrics needs evidence of K/alpha (Bonferroni; the metrics may depend on each other in any way);
    - one that is worse by more than the margin on any metric with `prove` is found `not worse` with probability at most
      alpha: each of these metrics needs evidence of 1/alpha (an intersection-union test; Berger, Technometrics 1982);
    - with `promote_when="better"`, moreover, one that is better on none of the B metrics with `prove` on which that can
      be shown is found `not worse` with probability at most alpha. Of each the null hypothesis is that challenger and
      champion do not differ in the good direction, whatever the margin; one needs evidence of B/alpha against it, and
      all others with `prove` are to be not worse. It cannot be shown of a quantile with a margin above 0, as its counts
      are those of answers slower than the margin allows.

    Args:
        windows: The closed windows since the trial began, in any order; of quantiles, since their pivots were fixed.
        metrics: What to compare.
        alpha: The probability of a wrong answer, as above.
        starts: When each step so far began, epoch seconds; evidence of failure is also gathered from each anew.
        segments: How many steps there will be in all.
        promote_when: What `not worse` asks for.

    Returns:
        The answer. Without data on any metric with `prove` it is `unknown`, unless another is `worse`. So it is when
        any metric, with `prove` or not, has a window whose sums cannot be of values within its range.
    """
    ordered = sorted(windows, key=lambda window: window.start)
    needed = {"worse": len(metrics) / alpha, "not_worse": 1 / alpha}
    able = [metric for metric in metrics if metric.prove and _can_be_better(metric)]
    if promote_when == "better":
        needed["better"] = max(1, len(able)) / alpha
    judged = [_on_metric(metric, ordered, starts, segments, needed) for metric in metrics]
    each = tuple(item.finding for item in judged)
    worse = [item for item in judged if item.finding.answer == "worse"]
    if worse:
        return Findings("worse", max(worse, key=lambda item: item.worse).finding.reason, each)
    for item in judged:
        if item.unfit:
            return Findings("unknown", item.finding.reason, each)
    proving = [item for item in judged if item.metric.prove]
    if not proving:
        return Findings("unknown", Reason("judge", "metrics", "no metric is to be proven, so none can promote"), each)
    behind = max(proving, key=lambda item: item.lacks)
    if promote_when == "better":
        return _better(proving, able, needed["better"], each)
    if behind.finding.answer != "not worse":
        return Findings("unknown", behind.finding.reason, each)
    return Findings("not worse", _least_certain(behind, proving), each)


def _better(proving: list[_Judged], able: list[Metric], needed: float, each: tuple[Finding, ...]) -> Findings:
    """Whether one metric is better, and no other that is to be proven worse."""
    if not able:
        text = "no metric can be shown better: of a quantile with a margin only `not worse` can be shown"
        return Findings("unknown", Reason("judge", "metrics", text), each)
    best = max((item for item in proving if item.metric in able), key=lambda item: item.better)
    shown = best.better >= math.log(needed)
    behind = [item for item in proving if item.lacks > 0 and not (shown and item is best)]
    if behind:
        return Findings("unknown", max(behind, key=lambda item: item.lacks).finding.reason, each)
    reason = best.finding.reason
    evidence = f"evidence for better {_exp(best.better):.3g} of {needed:.3g}"
    if not shown:
        text = f"not yet known: {best.metric.name} better, {evidence}; {reason.text}"
        return Findings("unknown", replace(reason, text=text), each)
    others = ", nothing worse by more than its margin" if len(proving) > 1 else ""
    return Findings(
        "not worse", replace(reason, text=f"{best.metric.name} better{others}: {evidence}; {reason.text}"), each
    )


def _least_certain(behind: _Judged, proving: list[_Judged]) -> Reason:
    reason = behind.finding.reason
    if len(proving) == 1:
        return reason
    return replace(reason, text=f"none of {len(proving)} metrics worse; the least certain: {reason.text}")


def _on_metric(
    metric: Metric, windows: Sequence[Window], starts: Sequence[float], segments: int, needed: Mapping[str, float]
) -> _Judged:
    bettor = _bettor(metric, better="better" in needed and _can_be_better(metric))
    evidence, wrong = Evidence(bettor, segments=segments), list[str]()
    waiting = sorted(starts)[1:]
    for window in windows:
        while waiting and window.start >= waiting[0]:
            waiting.pop(0)
            evidence.restart()
        champion = window.champion.get(metric.name) or Tally()
        challenger = window.challenger.get(metric.name) or Tally()
        found = _unfit(metric, champion, challenger)
        if found:
            wrong.append(found)
        else:
            evidence.add(scaled(metric, champion), scaled(metric, challenger))
    if wrong:
        return _not_known(metric, evidence, wrong, needed)
    worse, not_worse, better = evidence.worse, evidence.not_worse, evidence.better
    answer: Answer = "unknown"
    if worse >= math.log(needed["worse"]):
        answer = "worse"
    elif not_worse >= math.log(needed["not_worse"]):
        answer = "not worse"
    numbers = _numbers(metric, evidence) | _proofs(needed, worse=worse, not_worse=not_worse, better=better)
    lacks = math.log(needed["not_worse"]) - not_worse
    no_data = min(evidence.champion.count, evidence.challenger.count) == 0
    text = _nothing(metric, evidence) if no_data else _words(metric, answer, numbers)
    finding = Finding(metric.name, answer, Reason("judge", metric.name, text, numbers))
    return _Judged(metric, finding, worse, math.inf if no_data else lacks, better)


def _not_known(metric: Metric, evidence: Evidence, wrong: Sequence[str], needed: Mapping[str, float]) -> _Judged:
    """What is said of a metric with values out of its range: there is evidence for nothing."""
    low, high = span(metric)
    text = f"not known: {metric.name}: {wrong[0]}, but its values are to lie within {low:g} to {high:g}"
    text += f" (windows like this: {len(wrong)}; looked for in {_where(metric)})"
    numbers = _numbers(metric, evidence) | {OUT_OF_RANGE: float(len(wrong))} | _proofs(needed)
    finding = Finding(metric.name, "unknown", Reason("judge", metric.name, text, numbers))
    return _Judged(metric, finding, worse=0.0, lacks=math.inf, better=0.0, unfit=True)


def _unfit(metric: Metric, champion: Tally, challenger: Tally) -> str:
    for who, tally in (("challenger", challenger), ("champion", champion)):
        why = unfit(metric, tally)
        if why:
            return f"the {who}'s {why}"
    return ""


def _proofs(needed: Mapping[str, float], **logs: float) -> dict[str, float]:
    """The evidence for each answer that is asked for, with what is needed of it."""
    numbers: dict[str, float] = {}
    for name, least in needed.items():
        numbers |= {f"evidence_{name}": _exp(logs.get(name, 0.0)), f"evidence_needed_{name}": least}
    return numbers


def _can_be_better(metric: Metric) -> bool:
    return metric.kind != "quantile" or metric.margin == 0


def _bettor(metric: Metric, *, better: bool) -> Rates | Means:
    if metric.kind == "mean":
        return Means(metric.margin / (metric.high - metric.low), better=better)
    if metric.quantile is not None:
        return Rates(0.0, better=better, guess=1 - metric.quantile, weight=50)
    return Rates(metric.margin, better=better)


def _numbers(metric: Metric, evidence: Evidence) -> dict[str, float]:
    """Counts and means of both, in the metric's own unit and direction."""
    label = {"rate": "rate", "quantile": "slower", "mean": "mean"}[metric.kind]
    numbers = {"margin": metric.margin}
    for who, tally in (("champion", evidence.champion), ("challenger", evidence.challenger)):
        value = tally.total / tally.count if tally.count else 0.0
        if metric.better == "higher":
            value = 1 - value
        if metric.kind == "mean":
            value = metric.low + value * (metric.high - metric.low)
        numbers |= {f"{who}_count": float(tally.count), f"{who}_{label}": value if tally.count else 0.0}
    return numbers


def _nothing(metric: Metric, evidence: Evidence) -> str:
    """Which version has no data, and where it was looked for."""
    missing = [
        who for who, tally in (("champion", evidence.champion), ("challenger", evidence.challenger)) if not tally.count
    ]
    of = "either version" if len(missing) == 2 else f"the {missing[0]}"
    return f"not yet known: {metric.name}: no data of {of} (looked for in {_where(metric)})"


def _where(metric: Metric) -> str:
    return f"metric {metric.metric} in {metric.namespace}" if metric.metric else metric.namespace


def _words(metric: Metric, answer: Answer, numbers: Mapping[str, float]) -> str:
    n0, n1 = numbers["champion_count"], numbers["challenger_count"]
    match metric.kind:
        case "rate":
            by, one, other = f"{metric.margin:.2%}", numbers["challenger_rate"], numbers["champion_rate"]
            what = "of {:.0f} requests failed" if metric.name == "errors" else "of {:.0f}"
            seen = f"{one:.2%} {what.format(n1)}, of the champion's {n0:.0f} {other:.2%}"
        case "quantile":
            by, one, other = f"{metric.margin:.0%}", numbers["challenger_slower"], numbers["champion_slower"]
            longer = f"{1 + metric.margin:g} times " if metric.margin else ""
            seen = f"{one:.2%} of {n1:.0f} took over {longer}the pivot, of the champion's {n0:.0f} {other:.2%} over it"
        case "mean":
            by, one, other = f"{metric.margin:.4g}", numbers["challenger_mean"], numbers["champion_mean"]
            seen = f"mean {one:.4g} of {n1:.0f}, of the champion's {n0:.0f} {other:.4g}"
    if answer == "unknown":
        return (
            f"not yet known: {metric.name}: {seen}; evidence for worse {numbers['evidence_worse']:.3g} of "
            f"{numbers['evidence_needed_worse']:.3g}, for not worse {numbers['evidence_not_worse']:.3g} of "
            f"{numbers['evidence_needed_not_worse']:.3g}"
        )
    name = answer.replace(" ", "_")
    evidence = f"evidence {numbers[f'evidence_{name}']:.3g} of {numbers[f'evidence_needed_{name}']:.3g}"
    return f"{metric.name} {answer} by more than {by}: {seen}; {evidence}"


def _exp(log: float) -> float:
    """The e-value, capped so that it stays a number that JSON can hold."""
    return math.exp(min(log, 300.0))
