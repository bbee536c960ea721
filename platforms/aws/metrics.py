"""Metrics as CloudWatch names and takes them: those that AWS publishes. This project's own: `monitoring.published`.

    put(cloudwatch, [datum("ProbeSuccess", place("flight-delay-prod"), [1.0], "Count", at)])

Source: Amazon SageMaker Developer Guide, "Metrics for monitoring with CloudWatch", endpoint invocation metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rollout.core.catalogue import OWN

SAGEMAKER = "AWS/SageMaker"
"""SageMaker's namespace. The dimensions are `ENDPOINT` and `VARIANT`."""
INVOCATIONS = "Invocations"
FAILED = "Invocation5XXErrors"
REFUSED = "Invocation4XXErrors"
LATENCY = "ModelLatency"
"""In microseconds."""
LAMBDA, ERRORS, FUNCTION = "AWS/Lambda", "Errors", "FunctionName"
"""Lambda's namespace, its count of failed calls, and the dimension."""
SQS, DEPTH, QUEUE = "AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"
"""The namespace of SQS, its count of what lies in a queue, and the dimension."""
ENDPOINT, VARIANT, ROLLOUT = "EndpointName", "VariantName", "RolloutId"
FEATURE, SEGMENT, EVENT = "Feature", "Segment", "Event"
MOST = 500
"""Values in one PutMetricData, which allows 1,000 and a megabyte."""

Datum = Mapping[str, Any]


def slower_than(milliseconds: float) -> str:
    """The statistic of `LATENCY` that counts the requests that took longer."""
    return f"TC({milliseconds * 1000:.0f}:)"


def place(endpoint: str, variant: str = "", **more: str) -> dict[str, str]:
    """The dimensions of a metric of an endpoint, or of one of its variants.

    Args:
        endpoint: The endpoint.
        variant: The variant; empty for the endpoint as a whole.
        more: Further dimensions by name; those that are empty are left out.
    """
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
    """Values of a metric at a time, as PutMetricData takes them.

    They are kept by the second (for three hours, then by the minute; the price is the same): by the minute, all values
    of a minute would fall into one window of a trial whose windows are shorter, as they are on local stacks.

    Args:
        name: The metric.
        place: Its dimensions.
        values: At most 150.
        unit: `Count`, `Seconds`, `None`, ...
        at: Epoch seconds.
        counts: How often each value was seen; once where left out.
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
    """Publish data in this project's namespace, in as many calls as that takes.

    Raises:
        ClientError, BotoCoreError: CloudWatch does not take them; of several calls some may have been taken.
    """
    for part in parts(data):
        cloudwatch.put_metric_data(Namespace=OWN, MetricData=part)
