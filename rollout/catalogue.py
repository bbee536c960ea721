"""The metrics that every endpoint has, by name; what a config leaves out is taken from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollout.metrics import Metric

OWN = "modelstack"  # the namespace of what this project publishes itself
LOSS_MOST = 5.0  # log-loss is clipped here: a probability of 0.7% for what happened

KNOWN: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("errors", "rate", 0.02),
        Metric("latency_p50", "quantile", 0.5, quantile=0.5, prove=False),
        Metric("latency_p90", "quantile", 0.5, quantile=0.9, prove=False),
        Metric("latency_p99", "quantile", 0.5, quantile=0.99, prove=False),
        Metric("accuracy", "rate", 0.05, better="higher", prove=False, namespace=OWN, metric="Accuracy"),
        Metric("log_loss", "mean", 0.1, low=0.0, high=LOSS_MOST, prove=False, namespace=OWN, metric="LogLoss"),
        Metric("absolute_error", "mean", 0.1, prove=False, namespace=OWN, metric="AbsoluteError"),
    )
}


def metric(name: str, **given: Any) -> Metric:
    """A metric by its name, with what the config gives over what is known of it.

    Args:
        name: One of `KNOWN`, or a metric of the user's, of which `kind`, `margin`, `namespace` and `metric` are needed.
        given: Fields of `Metric`.

    Raises:
        ValueError: A field is missing or not allowed; the message names it.
    """
    known = KNOWN.get(name)
    if known is not None:
        fixed = sorted({"kind", "quantile", "better", "namespace", "metric"} & given.keys())
        if fixed:
            raise ValueError(f"metric {name!r}: {', '.join(fixed)} of a known metric cannot be given")
        return replace(known, **given)
    missing = sorted({"kind", "margin", "namespace", "metric"} - given.keys())
    if missing:
        raise ValueError(
            f"metric {name!r} is none of {', '.join(KNOWN)}; a metric of your own needs {', '.join(missing)} too"
        )
    if given["kind"] == "quantile":
        raise ValueError(f"metric {name!r}: kind is 'quantile', which only the latencies have; expected rate or mean")
    return Metric(name, **given)
