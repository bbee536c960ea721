"""Late labels on a whole stack: the real engine, the default model, a replay that tells the truth afterwards."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from bench.bed import Bed
from cli.labels import LateLabels
from cli.replay import Pace, events, run
from cli.target import ROOT, Target
from tests.e2e.conftest import succeeded, typed
from tests.infra.recorded import LOCAL
from tests.needed import unused
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

REQUESTS = 120


def seen(target: Target, variant: str, name: str) -> tuple[float, float]:
    """How many values of a variant's metric there are, and their sum."""
    points = target.client("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName=name,
        Dimensions=[
            {"Name": "EndpointName", "Value": target.endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        StartTime=datetime.now(UTC) - timedelta(minutes=30),
        EndTime=datetime.now(UTC) + timedelta(minutes=2),
        Period=60,
        Statistics=["SampleCount", "Sum"],
    )["Datapoints"]
    return sum(point["SampleCount"] for point in points), sum(point["Sum"] for point in points)


def test_labels_that_a_replay_sends_late_give_each_variant_its_accuracy_once(story: Bed) -> None:
    succeeded(story.stack.with_parameters(story.folder, **SMALL).up())
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
    assert not unused("test_labels_story", story.cloud, LOCAL)
