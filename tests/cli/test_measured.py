"""What is read of CloudWatch: all that was measured of this endpoint, and nothing of an earlier one of its name."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from cli.measured import curves, metric
from cli.target import Target
from tests.platforms.aws.mocked import mocked_aws


def test_a_value_that_cloudwatch_keeps_at_the_begin_of_its_minute_counts_though_the_endpoint_was_created_within_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minute = time.time() // 60 * 60 - 600
    target = Target("local", "endpoint", "us-east-1", {})
    monkeypatch.setitem(vars(target), "created", datetime.fromtimestamp(minute, UTC) + timedelta(seconds=45))
    labels = metric(target, "modelstack", "Labels")
    with mocked_aws(monkeypatch):
        boto3.client("cloudwatch", region_name="us-east-1").put_metric_data(
            Namespace="modelstack",
            MetricData=[
                {"MetricName": "Labels", "Dimensions": labels["Dimensions"], "Timestamp": at, "Value": value}
                for at, value in ((minute - 60, 7.0), (minute, 2.0))
            ],
        )
        query = {"Id": "one", "MetricStat": {"Metric": labels, "Period": 10, "Stat": "Sum"}}
        (found,) = curves(target, [query], minute - 300, minute + 300)
    assert [value for _, value in found.points] == [2.0]
