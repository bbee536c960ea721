"""The built-in metrics by name, with the defaults of what a config leaves out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelstack.rollout.judge.metrics import Metric, MetricError

OWN = "modelstack"  # the namespace of metrics that this project publishes
EVENTS = "Events"  # counts events of releases: dashboards cannot read the journal
LOSS_MOST = 5.0  # log-loss is clipped here: a probability of 0.7% for the true outcome

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

INVALID = KNOWN["invalid_answers"].metric  # the published metric that counts invalid answers
FAILURES = "Failed"
"""The suffix of the metric that counts the predictions for which the function of a custom metric failed."""
_WITHIN = "; the judge compares values within low..high only"
_HIGH = f"must be given: the greatest value of an observation{_WITHIN}"
_LARGEST = f"must be given: the greatest error, which is `largest_error` of the model's answer.json{_WITHIN}"


class UnknownMetric(ValueError):
    """The name is not in `KNOWN`, and required fields of a custom metric are missing; `needs` lists them."""

    def __init__(self, name: str, needs: Sequence[str]) -> None:
        self.needs = needs
        known = ", ".join(KNOWN)
        super().__init__(
            f"metric {name!r} is none of {known}; a metric of your own is a function in monitoring/, "
            f"or needs {', '.join(needs)} too"
        )


def failures(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """By the name of each metric of the project's `monitoring/`: the one that counts its failures."""
    return {
        one.name: Metric(f"{one.name} {FAILURES}", "rate", 0.0, namespace=OWN, metric=f"{one.metric}{FAILURES}")
        for one in metrics
        if one.namespace == OWN and one.name not in KNOWN
    }


def metric(name: str, custom: Mapping[str, Metric] | None = None, **given: Any) -> Metric:
    """A metric from its name and the fields of the config; UnknownMetric or MetricError if a field is missing.

    `custom` are those of the project's `monitoring/`.
    """
    known = KNOWN.get(name) or (custom or {}).get(name)
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
    """A known metric in the unit of the labels; its default margin is a share of the range."""
    if "high" not in given:
        raise MetricError(known.name, _LARGEST, field="high", missing=True)
    span = given["high"] - given.get("low", known.low)
    margin = known.margin * span if math.isfinite(span) and span > 0 else known.margin
    fields: dict[str, Any] = {"margin": margin, **given}
    return replace(known, **fields)
