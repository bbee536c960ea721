"""Drift on a whole stack: the real engine, the default model, and flights of another season."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest

from bench.bed import Bed
from cli.replay import events
from cli.target import Target
from tests.e2e.conftest import journal, succeeded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def ask(target: Target, since: str, until: str) -> None:
    """All flights of some days, an hour of them a request."""
    runtime = target.client("sagemaker-runtime")
    for hour, flights in groupby(events(since, until), lambda flight: flight.event_time.replace(minute=0)):
        runtime.invoke_endpoint(
            EndpointName=target.endpoint,
            ContentType="application/json",
            CustomAttributes=f"event-time={hour.isoformat()}",
            Body=json.dumps({"instances": [flight.instance for flight in flights]}),
        )


def state(target: Target, alarm: str) -> str:
    (found,) = target.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return found["StateValue"]


def test_flights_of_july_ring_the_alarm_of_a_model_of_winter_and_roll_nothing_back(story: Bed) -> None:
    # All of training's days: the more there are, the surer a difference is. Few trees, as answers do not count.
    succeeded(story.stack.with_parameters(story.folder, max_iter=5, folds=0).up())
    target = story.target()
    (variant,) = journal(target).weights
    alarm = f"{target.endpoint}-{variant}-drift"
    ask(target, "2013-07-01", "2013-07-16")

    end = time.monotonic() + 300
    while state(target, alarm) != "ALARM":
        assert time.monotonic() < end, "no captured file has called the function, or it has found nothing"
        time.sleep(1)
    flights = sum(1 for _ in events("2013-07-01", "2013-07-16"))
    while counted(target, variant) < flights or messages(target, "captures"):
        assert time.monotonic() < end, f"{counted(target, variant)} of {flights} flights are counted"
        time.sleep(1)
    assert counted(target, variant) == flights
    assert not messages(target, "captures-dlq")
    assert state(target, f"{target.endpoint}-functions-failing") != "ALARM", "drift is measured, and no function fails"
    assert journal(target).weights == {variant: 100}


def counted(target: Target, variant: str) -> float:
    """The rows of the variant that were counted."""
    points = target.client("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName="CaptureRows",
        Dimensions=[{"Name": "EndpointName", "Value": target.endpoint}, {"Name": "VariantName", "Value": variant}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def messages(target: Target, queue: str) -> int:
    """How many messages a queue holds, those that are being handled too."""
    sqs = target.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{target.endpoint}-{queue}")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())
