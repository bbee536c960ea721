"""The metrics that every endpoint has, by name; what a config leaves out is taken from here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollout.judge.metrics import Metric, MetricError

OWN = "modelstack"  # the namespace of what this project publishes itself
EVENTS = "Events"  # counts what happened to releases, by `Event`: dashboards can show no journal
LOSS_MOST = 5.0  # log-loss is clipped here: a probability of 0.7% for what happened

KNOWN: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("errors", "rate", 0.02),
        Metric("latency_p50", "quantile", 0.5, quantile=0.5, prove=False),
        Metric("latency_p90", "quantile", 0.5, quantile=0.9, prove=False),
        Metric("latency_p99", "quantile", 0.5, quantile=0.99, prove=False),
        Metric("invalid_answers", "rate", 0.02, prove=False, namespace=OWN, metric="InvalidAnswers", expected=True),
        Metric("accuracy", "rate", 0.05, better="higher", prove=False, namespace=OWN, metric="Accuracy"),
        Metric("log_loss", "mean", 0.1, low=0.0, high=LOSS_MOST, prove=False, namespace=OWN, metric="LogLoss"),
        Metric("absolute_error", "mean", 0.1, prove=False, namespace=OWN, metric="AbsoluteError"),
    )
}

INVALID = KNOWN["invalid_answers"].metric
"""The metric that counts answers which are none."""
_WITHIN = "; the judge compares values within low..high only"
_HIGH = f"must be given: the greatest value of an observation{_WITHIN}"
_LARGEST = f"must be given: the greatest error, which is `largest_error` of the model's answer.json{_WITHIN}"


class UnknownMetric(ValueError):
    """A name is none of `KNOWN`, and not all is given that a metric of the user's own needs.

    Attributes:
        needs: The fields that are missing.
    """

    def __init__(self, name: str, needs: Sequence[str]) -> None:
        self.needs = needs
        known = ", ".join(KNOWN)
        super().__init__(f"metric {name!r} is none of {known}; a metric of your own needs {', '.join(needs)} too")


def metric(name: str, **given: Any) -> Metric:
    """A metric by its name, with what the config gives over what is known of it.

    Args:
        name: One of `KNOWN`, or a metric of the user's, of which `kind`, `margin`, `namespace` and `metric` are needed,
            and of a mean `high`. `absolute_error` needs `high` too, as labels have any unit. Only a mean has `low` and
            `high`; those of `log_loss` hold what is published of it.
        given: Fields of `Metric`.

    Raises:
        UnknownMetric: There is none of that name, and not all is given that one of the user's own needs.
        MetricError: A field is missing or not allowed.
    """
    known = KNOWN.get(name)
    if known is not None:
        fixed = sorted({"kind", "quantile", "better", "namespace", "metric"} & given.keys())
        if fixed:
            raise MetricError(name, f"{', '.join(fixed)} of a known metric cannot be given")
        _refuse_range(known.kind, name, given)
        return _in_its_unit(known, given) if name == "absolute_error" else replace(known, **given)
    missing = sorted({"kind", "margin", "namespace", "metric"} - given.keys())
    if given.get("kind") == "mean" and "high" not in given:
        if not missing:
            raise MetricError(name, _HIGH, field="high", missing=True)
        missing = sorted([*missing, "high"])
    if missing:
        raise UnknownMetric(name, missing)
    if given["kind"] == "quantile":
        raise MetricError(name, "only the latencies have it; expected rate or mean", field="kind", value="quantile")
    _refuse_range(given["kind"], name, given)
    return Metric(name, **given)


def _refuse_range(kind: str, name: str, given: Mapping[str, Any]) -> None:
    """Refuse a range that nothing looks at, or one that what is published does not keep to."""
    for field in ("low", "high"):
        if kind != "mean" and field in given:
            expected = f"only a mean has low and high, this is a {kind}"
            raise MetricError(name, expected, field=field, value=given[field])
    if name != "log_loss":
        return
    published = f"as its values are published within 0..{LOSS_MOST:g}"
    if given.get("low", 0.0) > 0:
        raise MetricError(name, f"allowed is 0 or less, {published}", field="low", value=given["low"])
    if given.get("high", LOSS_MOST) < LOSS_MOST:
        raise MetricError(name, f"allowed is {LOSS_MOST:g} or more, {published}", field="high", value=given["high"])


def _in_its_unit(known: Metric, given: Mapping[str, Any]) -> Metric:
    """A known metric whose values have the unit of the labels; the margin that is known is a share of its range."""
    if "high" not in given:
        raise MetricError(known.name, _LARGEST, field="high", missing=True)
    span = given["high"] - given.get("low", known.low)
    margin = known.margin * span if math.isfinite(span) and span > 0 else known.margin
    fields: dict[str, Any] = {"margin": margin, **given}
    return replace(known, **fields)
