"""Drift, late labels and the trace of an answer on a whole stack: the real engine and the default model.

Each test continues where the one before ended.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice

import pytest

from bench.bed import Bed
from cli.labels import LateLabels
from cli.replay import Pace, events, run
from cli.target import ROOT, Target
from tests.e2e.conftest import journal, succeeded, typed
from tests.infra.recorded import LOCAL
from tests.needed import unused

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

REQUESTS = 120


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


def seen(target: Target, variant: str, name: str) -> tuple[float, float]:
    """How many values of a variant's metric there are, and their sum."""
    points = target.client("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName=name,
        Dimensions=[{"Name": "EndpointName", "Value": target.endpoint}, {"Name": "VariantName", "Value": variant}],
        StartTime=datetime.now(UTC) - timedelta(minutes=30),
        EndTime=datetime.now(UTC) + timedelta(minutes=2),
        Period=60,
        Statistics=["SampleCount", "Sum"],
    )["Datapoints"]
    return sum(point["SampleCount"] for point in points), sum(point["Sum"] for point in points)


def messages(target: Target, queue: str) -> int:
    """How many messages a queue holds, those that are being handled too."""
    sqs = target.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{target.endpoint}-{queue}")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


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
    while (counted := seen(target, variant, "CaptureRows")[1]) < flights or messages(target, "captures"):
        assert time.monotonic() < end, f"{counted} of {flights} flights are counted"
        time.sleep(1)
    assert counted == flights
    assert not messages(target, "captures-dlq")
    assert state(target, f"{target.endpoint}-functions-failing") != "ALARM", "drift is measured, and no function fails"
    assert journal(target).weights == {variant: 100}


def test_labels_that_a_replay_sends_late_give_each_variant_its_accuracy_once(story: Bed) -> None:
    target = story.target()
    source = list(islice(events("2013-03-01", "2013-03-03"), REQUESTS))
    known = [flight for flight in source if flight.label is not None]
    with LateLabels(target, after=2) as late:
        report = run(target, source, Pace(rate=25), labels=late)
    assert (report.failed, late.sent, late.failure) == (0, len(known), None)

    (variant,) = report.variants
    end = time.monotonic() + 400
    while seen(target, variant, "Accuracy")[0] < len(known):
        assert time.monotonic() < end, "the labels were not joined"
        time.sleep(1)
    time.sleep(5)  # for whatever would still count twice
    count, right = seen(target, variant, "Accuracy")
    assert count == len(known)
    assert 0.5 < right / count <= 1, "most flights are on time, and the model says so"
    for name, most in (("LogLoss", 1.0), ("LogLossSquared", 2.0)):
        count, total = seen(target, variant, name)
        assert count == len(known)
        assert 0 < total / count < most


def test_an_answer_is_traced_to_its_data_its_package_and_who_released_it(story: Bed) -> None:
    target = story.target()
    asked = (ROOT / "model" / "example_request.json").read_bytes()
    answer = target.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=target.endpoint, ContentType="application/json", Body=asked, InferenceId="order-17"
    )
    end = time.monotonic() + 60
    while (
        done := typed("trace", "order-17", "--json")
    ).exit_code != 0:  # the endpoint uploads a file every few seconds
        assert "a capture comes some seconds" in done.output, done.output
        assert time.monotonic() < end, done.output
        time.sleep(1)
    found = json.loads(done.output)
    assert found["prediction"]["variant"] == answer["InvokedProductionVariant"]
    assert (found["role"], found["package"], found["unread"]) == ("champion", target.outputs["package_digest"], [])
    assert found["made"]["by"] == "local"
    assert [one["name"] for one in found["data"]["files"]] and all(
        len(one["sha256"]) == 64 for one in found["data"]["files"]
    )
    (released,) = [one for one in found["people"] if one["did"] == "began"]
    assert released["who"] == target.client("sts").get_caller_identity()["Arn"]

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M}"
    event = typed("trace", found["prediction"]["event_id"][:20], "--at", now)  # which the captures alone tell
    assert (event.exit_code, "order-17" in event.output, found["package"] in "".join(event.output.split())) == (
        0,
        True,
        True,
    ), event.output


def test_the_roles_have_used_what_this_story_shows_to_be_needed(story: Bed) -> None:
    target = story.target()
    for name in ("drift", "labels"):  # as their schedules do every few minutes
        answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-{name}", Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
    assert not unused("test_monitoring_story", story.cloud, LOCAL)
