"""What is known of one metric, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from rollout.judge.metrics import Metric, Tally
from rollout.judge.scale import span

_MOST = 1e6  # more observations lacking than this are a guess without worth

Answer = Literal["worse", "not worse", "unknown"]


def proofs(needed: Mapping[str, float], **logs: float) -> dict[str, float]:
    """The evidence for each answer that is asked for, with what is needed of it."""
    found: dict[str, float] = {}
    for name, least in needed.items():
        found |= {f"evidence_{name}": e_value(logs.get(name, 0.0)), f"evidence_needed_{name}": least}
    return found


def numbers(metric: Metric, champion: Tally, challenger: Tally) -> dict[str, float]:
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


def no_data(metric: Metric, champion: int, challenger: int) -> str:
    """Which version has no data, and where it was looked for."""
    missing = [who for who, count in (("champion", champion), ("challenger", challenger)) if not count]
    if len(missing) == 2 and metric.kind == "quantile":
        known = f"known after {metric.requests_to_cut} of its requests within an hour"
        return f"not yet known: {metric.name}: waits for the champion's quantile to compare with, {known}"
    of = "either version" if len(missing) == 2 else f"the {missing[0]}"
    return f"not yet known: {metric.name}: no data of {of} (looked for in {_where(metric)})"


def out_of_range(metric: Metric, wrong: Sequence[str]) -> str:
    """What is said of windows whose sums cannot be of values within the metric's range."""
    low, high = span(metric)
    text = f"not known: {metric.name}: {wrong[0]}, but its values are to lie within {low:g} to {high:g}"
    return f"{text} (windows like this: {len(wrong)}; looked for in {_where(metric)})"


def sentence(metric: Metric, answer: Answer, numbers: Mapping[str, float], *, more: float, here: bool) -> str:
    """The answer as a sentence.

    Args:
        metric: The metric.
        answer: The answer.
        numbers: Counts and means, and the evidence with what is needed of it.
        more: How many observations of the challenger are lacking; infinite when nothing can be said of that.
        here: Whether of the evidence for not worse only this step's counts.
    """
    alone = " in this step alone" if here else ""
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
    seen += " (in the whole trial)" if here else ""
    found = {
        name: f"{numbers[f'evidence_{name}']:.3g} of {numbers[f'evidence_needed_{name}']:.3g}"
        for name in ("worse", "not_worse")
    }
    if answer == "unknown":
        evidence = f"evidence for worse {found['worse']}, for not worse {found['not_worse']}{alone}"
        return f"not yet known: {metric.name}: {seen}; {_lacking(metric, more)}{evidence}"
    evidence = f"evidence {found['worse']}" if answer == "worse" else f"evidence {found['not_worse']}{alone}"
    return f"{metric.name} {answer} by more than {by}: {seen}; {evidence}"


def latency(microseconds: float) -> str:
    """A latency as a person says it: the unit is the microsecond."""
    return f"{microseconds / 1e6:.3g} s" if microseconds >= 1e6 else f"{microseconds / 1e3:.3g} ms"


def _lacking(metric: Metric, more: float) -> str:
    if not 0 < more < _MOST:
        return ""
    what = "requests" if metric.name == "errors" or metric.kind == "quantile" else "observations"
    return f"about {float(f'{more:.1g}'):.0f} more {what} are needed; "


def _where(metric: Metric) -> str:
    return f"metric {metric.metric} in {metric.namespace}" if metric.metric else "the platform's own metrics"


def e_value(log: float) -> float:
    """The e-value, capped so that it stays a number that JSON can hold."""
    return math.exp(min(log, 300.0))
