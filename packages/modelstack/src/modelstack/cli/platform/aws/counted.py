"""Counts from CloudWatch: requests, error budgets, and unusable data. Raises OperatorError when it cannot be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from modelstack.cli.errors import explained
from modelstack.cli.platform.aws.measured import metric, totals, values
from modelstack.cli.platform.facts import QUANTILES, ServedView, Spent
from modelstack.cli.target import Target
from modelstack.monitoring.objectives.slo import Objective
from modelstack.monitoring.published import DELAY
from modelstack.platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, REFUSED, SAGEMAKER, slower_than
from modelstack.rollout.core.catalogue import OWN

_COUNTS = (INVOCATIONS, FAILED, REFUSED)
_ASKED = (*((name, "Sum") for name in _COUNTS), *((LATENCY, quantile) for quantile in QUANTILES))
_HOUR = 3600
_PERIODS = 60  # that the window of an objective is read in
_BACK = timedelta(minutes=10)


def served(target: Target, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
    """The variants' traffic between two times."""
    asked = [(variant, name, stat) for variant in variants for name, stat in _ASKED]
    period = 60 * max(math.ceil((end - start).total_seconds() / 60), 1)
    with explained("reading how the variants answered"):
        queries = [(metric(target, SAGEMAKER, name, variant), stat) for variant, name, stat in asked]
        found = values(target, queries, period, start, end)
    by_asked = dict(zip(asked, found, strict=True))
    return [_view(variant, by_asked) for variant in variants]


def _view(variant: str, values: Mapping[tuple[str, str, str], list[float]]) -> ServedView:
    requests, failed, refused = (round(sum(values[variant, name, "Sum"])) for name in _COUNTS)
    slow = {quantile: values[variant, LATENCY, quantile] for quantile in QUANTILES}
    # Should the time fall into two periods, the slower one is told: quantiles do not add up.
    latency = {quantile: max(found) / 1000 for quantile, found in slow.items() if found}
    return ServedView(variant, requests, failed, refused, latency)


def spent(target: Target, objective: Objective) -> Spent:
    """Consumption of an objective in its window until now."""
    stats = {INVOCATIONS: "Sum", FAILED: "Sum", LATENCY: slower_than(objective.latency_ms)}
    period = 60 * max(1, objective.window_seconds // _PERIODS // 60)
    with explained("reading the error budgets"):
        counts = totals(target, SAGEMAKER, stats, period, objective.window_seconds)
    return Spent(counts[INVOCATIONS], counts[FAILED], counts[LATENCY])


def kept_aside(target: Target, names: Iterable[str], seconds: float) -> Mapping[str, float]:
    """Sums of our own metrics over all variants, of the last seconds."""
    with explained("reading what was kept aside"):
        return totals(target, OWN, dict.fromkeys(names, "Sum"), _HOUR, seconds)


def delay(target: Target) -> float:
    """Seconds that the last counted file had waited; 0 without one within ten minutes."""
    end = datetime.now(UTC)
    with explained("reading how late captures are counted"):
        (found,) = values(target, [(metric(target, OWN, DELAY), "Maximum")], 60, end - _BACK, end)
    return found[-1] if found else 0.0
