"""What could not be used during a day, as `modelstack status` tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import boto3
import pytest

from modelstack.cli.target import Target
from modelstack.cli.view.kept_aside import line, read
from tests.platforms.aws.mocked import mocked_aws


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    with mocked_aws(monkeypatch):
        yield Target("local", "endpoint", "us-east-1", {})


def count(name: str, value: float, at: float | None = None, **dimensions: str) -> None:
    named = [{"Name": key, "Value": found} for key, found in {"EndpointName": "endpoint", **dimensions}.items()]
    boto3.client("cloudwatch", region_name="us-east-1").put_metric_data(
        Namespace="modelstack",
        MetricData=[{"MetricName": name, "Dimensions": named, "Value": value, "Timestamp": at or time.time() - 60}],
    )


def test_counts_of_a_day_are_summed_over_variants_and_zeros_parts_and_others_left_out(target: Target) -> None:
    count("LabelsUnparsable", 7)
    count("LabelsContradicting", 0)
    count("CaptureUnreadable", 4, VariantName="v-a")
    count("CaptureUnreadable", 7, VariantName="v-b")
    count("LabelsUnknown", 3, time.time() - 2 * 86_400)
    count("InvalidAnswers", 2, VariantName="v-a", RolloutId="000001-a")
    count("LabelsUnparsable", 9, EndpointName="endpoint-staging")
    count("Accuracy", 1, VariantName="v-a")
    assert read(target) == {"CaptureUnreadable": 11, "LabelsUnparsable": 7}


def test_counts_from_before_its_creation_are_not_inherited_and_those_of_its_first_minute_are_not_lost(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    count("LabelsUnparsable", 7, (minute - timedelta(seconds=1)).timestamp())
    count("LabelsUnparsable", 2, minute.timestamp())  # where CloudWatch puts all values of a minute
    monkeypatch.setattr(Target, "created", minute + timedelta(seconds=35))
    assert read(target) == {"LabelsUnparsable": 2}


def test_an_endpoint_that_is_made_again_while_a_console_runs_begins_anew(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) - timedelta(hours=1)]
    client = Mock(side_effect=lambda _: client, describe_endpoint=lambda **_: {"CreationTime": made[0]})
    monkeypatch.setattr(Target, "client", client)
    assert target.created == made.pop(0)
    now = time.monotonic() + 61
    monkeypatch.setattr("modelstack.cli.target.time.monotonic", lambda: now)
    assert target.created == made[0]


def test_it_is_told_with_where_the_reasons_lie() -> None:
    assert line({}) == ""
    assert line({"LabelsUnparsable": 1200, "CaptureUnreadable": 11}) == (
        "1,200 LabelsUnparsable: the reasons lie under labels-rejected/; 11 CaptureUnreadable: the reasons lie under "
        "capture-rejected/"
    )
    assert line({"LabelsUnparsable": 2}, in_cluster=True) == "2 LabelsUnparsable: the reasons lie in the table `aside`"
