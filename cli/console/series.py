"""What a widget's queries give, from CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.errors import explained
from cli.target import Target


@dataclass(frozen=True)
class Series:
    """One curve: its label, and its points, epoch seconds and value, in order of time."""

    label: str
    points: tuple[tuple[float, float], ...]


def fetch(target: Target, queries: Sequence[Mapping[str, Any]], start: float, end: float) -> list[Series]:
    """The curves between two times, epoch seconds; those without a point too.

    Raises:
        OperatorError: CloudWatch does not answer, or refuses the queries.
    """
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with explained("reading metrics"):
        pages = (
            target.client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=list(queries),
                StartTime=datetime.fromtimestamp(start, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
                ScanBy="TimestampAscending",
            )
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                points = zip(result["Timestamps"], result["Values"], strict=True)
                curve = found.setdefault((result["Id"], result["Label"]), [])
                curve += [(at.timestamp(), value) for at, value in points]
    return [Series(label, tuple(points)) for (_, label), points in found.items()]
