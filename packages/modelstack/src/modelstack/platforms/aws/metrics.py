"""AWS's own metrics, and metrics as CloudWatch takes them. The project's metrics: `modelstack.monitoring.published`.

Source: Amazon SageMaker Developer Guide, "Metrics for monitoring with CloudWatch", endpoint invocation metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from modelstack.rollout.core.catalogue import OWN

SAGEMAKER = "AWS/SageMaker"
"""SageMaker's namespace, with the dimensions `ENDPOINT` and `VARIANT`."""
INVOCATIONS = "Invocations"
FAILED = "Invocation5XXErrors"
REFUSED = "Invocation4XXErrors"
LATENCY = "ModelLatency"
"""In microseconds."""
LAMBDA, ERRORS, FUNCTION = "AWS/Lambda", "Errors", "FunctionName"
"""The namespace of Lambda, its count of failed calls, and the dimension."""
SQS, DEPTH, QUEUE = "AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"
"""The namespace of SQS, its count of waiting messages, and the dimension."""
ENDPOINT, VARIANT, ROLLOUT = "EndpointName", "VariantName", "RolloutId"
FEATURE, SEGMENT, EVENT = "Feature", "Segment", "Event"
MOST = 500
"""Values in one PutMetricData, which allows 1,000 and a megabyte."""

Datum = Mapping[str, Any]


def slower_than(milliseconds: float) -> str:
    """The statistic of `LATENCY` that counts slower requests."""
    return f"TC({milliseconds * 1000:.0f}:)"


def place(endpoint: str, variant: str = "", **more: str) -> dict[str, str]:
    """The dimensions of a metric of an endpoint or variant, and others by name, without empty ones."""
    return {ENDPOINT: endpoint, **{name: value for name, value in {VARIANT: variant, **more}.items() if value}}


def dimensions(place: Mapping[str, str]) -> list[dict[str, str]]:
    """Dimensions as every operation of CloudWatch takes them."""
    return [{"Name": name, "Value": value} for name, value in place.items()]


def datum(
    name: str,
    place: Mapping[str, str],
    values: Sequence[float],
    unit: str,
    at: float,
    *,
    counts: Sequence[float] | None = None,
) -> Datum:
    """Up to 150 values of a metric at epoch seconds, as PutMetricData takes them; `counts` repeats each of them.

    They are stored by the second for three hours, at the same price: by the minute, all values of a minute would fall
    into one window of a trial with shorter windows, as local stacks have.
    """
    often = {} if counts is None else {"Counts": list(counts)}
    when = datetime.fromtimestamp(at, UTC)
    return {
        "MetricName": name,
        "Dimensions": dimensions(place),
        "Timestamp": when,
        "Values": [float(value) for value in values],
        "Unit": unit,
        "StorageResolution": 1,
        **often,
    }


def parts(data: Sequence[Datum]) -> Iterator[Sequence[Datum]]:
    """The data in parts that one call takes."""
    return (data[start : start + MOST] for start in range(0, len(data), MOST))


def put(cloudwatch: Any, data: Sequence[Datum]) -> None:
    """Publish data in this project's namespace. After an error, some of the data may be published."""
    for part in parts(data):
        cloudwatch.put_metric_data(Namespace=OWN, MetricData=part)
