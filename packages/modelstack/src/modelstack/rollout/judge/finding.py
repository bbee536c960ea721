"""Judges one metric: gathers its windows into evidence, and gives the answer with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modelstack.rollout.judge.blocks import Column, blocks
from modelstack.rollout.judge.dependence import Block, Dependence
from modelstack.rollout.judge.evidence import Evidence, Favour, log_mixture
from modelstack.rollout.judge.lacking import lacking
from modelstack.rollout.judge.means import Means
from modelstack.rollout.judge.metrics import Metric, Sums, Tally, Window
from modelstack.rollout.judge.rates import Rates
from modelstack.rollout.judge.scale import fit, scaled, span, unfit
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

Answer = Literal["worse", "not worse", "unknown"]

LIKELY = 10.0
"""The evidence for "not worse" at which a metric without `prove` no longer blocks the promotion.

A challenger worse by more than the margin reaches it with probability at most 1/10. One worse by twice the margin does
so far less often: in large samples the bet on equal means is an e-value even to the third power, and reaches c with
probability at most c^-3. For the mixture with bolder bets `make bench` measures less than 1%.
"""
_NOTHING = Tally()
_ONE_BLOCK = 0.85  # one block shows at most what "worse" needs to this power, so it never decides alone
_ONE_RUN = 0.5  # and a short run of blocks what it needs to this power
_ANSWERS: dict[Answer, Kind] = {"worse": Kind.WORSE, "not worse": Kind.NOT_WORSE, "unknown": Kind.NOT_YET_KNOWN}


@dataclass(frozen=True)
class Finding:
    """The judge's answer on one metric, with the reason."""

    metric: str
    answer: Answer
    reason: Reason


@dataclass(frozen=True)
class Stage:
    """Where a trial stands, and the evidence that its answers need; `not_worse` is that of metrics with `prove`."""

    segments: int
    last: bool
    worse: float
    not_worse: float
    better: float | None

    def needed(self, metric: Metric) -> dict[str, float]:
        """The evidence that each answer on a metric needs."""
        found = {"worse": self.worse, "not_worse": self.not_worse if metric.prove else min(LIKELY, self.not_worse)}
        return found if self.better is None else found | {"better": self.better}


@dataclass(frozen=True)
class Judged:
    """A finding, and its evidence as logs.

    Attributes:
        lacks: The missing evidence for "not worse"; above 0 until it is shown.
        lacks_if_better: The same for a metric that the whole trial shows better: only this step must show it, either
            way.
        awaited: Whether the present step must show it not worse.
    """

    metric: Metric
    finding: Finding
    worse: float
    better: float
    lacks: float
    lacks_if_better: float
    awaited: bool
    unfit: bool = False


def on_metric(metric: Metric, parts: Sequence[Sequence[Window]], steps: Sequence[int], stage: Stage) -> Judged:
    """Judge one metric from all windows of a trial, in parts with the same weights, in order; `steps` are theirs."""
    seen = _Seen.of(metric, parts, steps)
    needed, awaited = stage.needed(metric), _awaited(metric, seen, stage)
    numbers = _numbers(metric, seen.champion, seen.challenger)
    if seen.wrong:
        return _not_known(metric, seen.wrong, numbers | _proofs(needed))
    evidence, more = _evidence(metric, seen, stage, math.log(needed["not_worse"]))
    worse, not_worse, better = evidence.worse, _counted(evidence, stage), evidence.whole.better
    proof = math.log(needed["not_worse"])
    answer: Answer = "unknown"
    if worse >= math.log(needed["worse"]):
        answer = "worse"
    elif not_worse >= proof:
        answer = "not worse"
    numbers |= _proofs(needed, worse=worse, not_worse=not_worse, better=better)
    if min(seen.champion.count, seen.challenger.count) == 0:
        finding = Finding(metric.name, "unknown", _reason(metric, Kind.NO_DATA, numbers))
        return Judged(metric, finding, worse, better, math.inf, math.inf, awaited)
    here = not_worse < evidence.whole.not_worse
    if awaited and more < math.inf:
        numbers["lacking"] = more
    finding = Finding(metric.name, answer, _reason(metric, _ANSWERS[answer], numbers, this_step=here))
    return Judged(metric, finding, worse, better, proof - not_worse, proof - _either(evidence.here), awaited)


@dataclass(frozen=True)
class _Seen:
    """The observations of one metric, without the windows in `wrong`; `here` are the counts of the present step."""

    segments: Sequence[tuple[Column, Column]]
    steps: Sequence[int]
    champion: Sums
    challenger: Sums
    here: tuple[int, int]
    wrong: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, metric: Metric, parts: Sequence[Sequence[Window]], steps: Sequence[int]) -> _Seen:
        segments, wrong = list[tuple[Column, Column]](), list[dict[str, str]]()
        for windows in parts:
            champion = Column.of([window.champion.get(metric.name, _NOTHING) for window in windows])
            challenger = Column.of([window.challenger.get(metric.name, _NOTHING) for window in windows])
            if not (fit(metric, champion) and fit(metric, challenger)):
                why = [_unfit(metric, *pair) for pair in zip(champion.tallies(), challenger.tallies(), strict=True)]
                wrong += [item for item in why if item]
                champion, challenger = (side.only([not item for item in why]) for side in (champion, challenger))
            segments.append((champion, challenger))
        sums = [(champion.sum(), challenger.sum()) for champion, challenger in segments]
        whole = (scaled(metric, Column.of(side).sum()) for side in zip(*sums, strict=True))
        here = [pair for step, pair in zip(steps, sums, strict=True) if step == steps[-1]]
        counts = sum(old.count for old, _ in here), sum(new.count for _, new in here)
        return cls(segments, steps, *whole, here=counts, wrong=wrong)


def _evidence(metric: Metric, seen: _Seen, stage: Stage, proof: float) -> tuple[Evidence, float]:
    """The evidence, and about how many more observations a good challenger needs to be shown "not worse"."""
    bettor = _bettor(metric, better=stage.better is not None)
    most, run = stage.worse**_ONE_BLOCK, stage.worse**_ONE_RUN
    evidence = Evidence(bettor, segments=stage.segments, most=most, run=run)
    dependence = Dependence(metric.kind)
    for number, columns in enumerate(seen.segments):
        if number:
            dependence.restart()
            evidence.restart(seen.steps[number])
        ended = number < len(seen.segments) - 1
        closed = [
            Block(scaled(metric, raw.champion), scaled(metric, raw.challenger), raw.windows)
            for raw in blocks(*columns, ended=ended)
        ]
        # One pass per computation over all blocks: short loops stay in the processor's cache.
        for block, worth in zip(closed, dependence.in_turn(closed), strict=True):
            evidence.bet(block.champion, block.challenger, worth, windows=block.windows)
    has = _counted(evidence, stage)
    if not -math.log(LIKELY) < has < proof:
        return evidence, math.inf  # it is shown, or speaks against a good challenger
    return evidence, lacking(metric, bettor, dependence, seen.segments[-1], proof - has)


def _awaited(metric: Metric, seen: _Seen, stage: Stage) -> bool:
    """Every step waits for metrics with `prove`, the last one for all metrics with data.

    A latency has data as soon as there are enough requests for its pivot. Labels may come too late; an `expected`
    metric always comes. Without a margin no regression is large enough to wait for.
    """
    if metric.prove or not (stage.last and metric.margin):
        return metric.prove
    return metric.kind == "quantile" or metric.expected or min(seen.here) > 0


def _counted(evidence: Evidence, stage: Stage) -> float:
    """Log of the evidence for "not worse" that counts: of the whole trial, unless this step differs."""
    whole, here = evidence.whole.not_worse, evidence.here.not_worse
    return min(whole, here) if stage.last or here < 0 else whole


def _either(favour: Favour) -> float:
    """Log of the evidence for "not worse", half of it from bets on better, which win more if it is."""
    return log_mixture((favour.not_worse, favour.better), (0.5, 0.5))


def can_be_better(metric: Metric) -> bool:
    """Whether its counts could show it better."""
    return metric.kind != "quantile" or metric.margin == 0


def _bettor(metric: Metric, *, better: bool) -> Rates | Means:
    better = better and can_be_better(metric)
    if metric.kind == "mean":
        return Means(metric.margin / (metric.high - metric.low), better=better)
    if metric.quantile is not None:
        return Rates(0.0, better=better, guess=1 - metric.quantile, weight=50)
    return Rates(metric.margin, better=better)


def _unfit(metric: Metric, champion: Tally, challenger: Tally) -> dict[str, str]:
    for who, tally in (("challenger", challenger), ("champion", champion)):
        why = unfit(metric, tally)
        if why:
            return {"version": who, **why}
    return {}


def _not_known(metric: Metric, wrong: Sequence[Mapping[str, str]], numbers: Mapping[str, float]) -> Judged:
    """A metric with values out of its range: there is no evidence for anything."""
    low, high = span(metric)
    counted = {**numbers, "windows_out_of_range": float(len(wrong)), "low": low, "high": high}
    reason = _reason(metric, Kind.OUT_OF_RANGE, counted, first=dict(wrong[0]))
    finding = Finding(metric.name, "unknown", reason)
    return Judged(metric, finding, 0.0, 0.0, lacks=math.inf, lacks_if_better=math.inf, awaited=True, unfit=True)


def _reason(metric: Metric, kind: Kind, numbers: Mapping[str, float], **facts: Any) -> Reason:
    known = {"requests_to_cut": float(metric.requests_to_cut)} if metric.kind == "quantile" else {}
    given = {"metric_kind": metric.kind, "namespace": metric.namespace, "stored_as": metric.metric, **facts}
    given |= {"expected": True} if metric.expected else {}
    return Reason("judge", metric.name, numbers={**numbers, **known}, kind=kind, facts=given)


def _proofs(needed: Mapping[str, float], **logs: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, least in needed.items():
        value = math.exp(min(logs.get(name, 0.0), 300.0))  # a number that JSON can hold
        found |= {f"evidence_{name}": value, f"evidence_needed_{name}": least}
    return found


def _numbers(metric: Metric, champion: Sums, challenger: Sums) -> dict[str, float]:
    """Counts and means of both, in the metric's own unit and direction."""
    label = {"rate": "rate", "quantile": "slower", "mean": "mean"}[metric.kind]
    found = {"margin": metric.margin}
    for who, tally in (("champion", champion), ("challenger", challenger)):
        value = tally.total / tally.count if tally.count else 0.0
        if metric.better == "higher":
            value = 1 - value
        if metric.kind == "mean":
            value = metric.low + value * (metric.high - metric.low)
        found |= {f"{who}_count": float(tally.count), f"{who}_{label}": value if tally.count else 0.0}
    return found
