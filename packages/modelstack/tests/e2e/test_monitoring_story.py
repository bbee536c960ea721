"""Drift, a retraining that it asks for, late labels and the trace of an answer: the real engine and the default model.

Each test continues where the one before ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice

import pytest

from bench.bed import Bed
from modelstack.cli.labels import LateLabels
from modelstack.cli.replay import Pace, events, run
from modelstack.cli.retrain import Retraining, look
from modelstack.cli.target import Target
from modelstack.monitoring.custom import load
from modelstack.monitoring.drift.record import newest_day
from modelstack.monitoring.retraining.record import Phase
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.names import documents
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.services.drift_record import DriftRecord
from tests.e2e.conftest import journal, package, succeeded, typed, with_config
from tests.needed import unused
from tests.process import ROOT
from tests.program.recorded import LOCAL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

REQUESTS = 120
SINCE, UNTIL, LAST_DAY = "2013-07-01", "2013-07-16", "2013-07-15"
RETRAINING = {
    "enabled": True, "ask": True, "cool_down_days": 90, "check_minutes": 1, "max_minutes": 10, "min_gain": -0.1
}  # fmt: skip


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


def requests_of(target: Target, since: str, until: str) -> None:
    """All flights of a day, and wait until the drift function has counted them."""
    ask(target, since, until)
    (variant,) = journal(target).weights
    record = DriftRecord(DynamoDocuments(target.client, documents(target.endpoint)))
    end = time.monotonic() + 400
    while str(newest_day(record.read(variant))) != since:
        assert time.monotonic() < end, "the requests were not counted"
        target.client("lambda").invoke(FunctionName=f"{target.endpoint}-drift")
        time.sleep(1)


def until(target: Target, met: Callable[[Retraining], bool]) -> Retraining:
    """Look at the retraining until it is so."""
    end = time.monotonic() + 400
    while not met(seen := look(target)):
        assert time.monotonic() < end, seen.as_dict()
        time.sleep(1)
    return seen


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


def test_flights_of_july_fire_the_alarm_of_a_model_of_winter_and_roll_nothing_back(story: Bed) -> None:
    # All of training's days: the more there are, the surer a difference is. Few trees, as answers do not count.
    stack = story.stack.with_parameters(story.folder, max_iter=5, folds=0)
    succeeded(with_config(stack, retraining=RETRAINING, model={"gates": {"auc": {"min": 0.5}}}).up())
    target = story.target()
    (variant,) = journal(target).weights
    alarm = f"{target.endpoint}-{variant}-drift"
    ask(target, SINCE, UNTIL)

    end = time.monotonic() + 300
    while state(target, alarm) != "ALARM":
        assert time.monotonic() < end, "no captured file has called the function, or it has found nothing"
        time.sleep(1)
    flights = sum(1 for _ in events(SINCE, UNTIL))
    while (counted := seen(target, variant, "CaptureRows")[1]) < flights or messages(target, "captures"):
        assert time.monotonic() < end, f"{counted} of {flights} flights are counted"
        time.sleep(1)
    assert counted == flights
    assert not messages(target, "captures-dlq")
    assert state(target, f"{target.endpoint}-functions-failing") != "ALARM", "drift is measured, and no function fails"
    assert journal(target).weights == {variant: 100}


def test_the_alarm_asks_a_person_and_nothing_is_trained_before(story: Bed) -> None:
    target = story.target()
    seen = until(target, lambda seen: seen.record.phase is Phase.ASKING)
    assert seen.record.trigger is not None
    assert seen.record.trigger.kind == "drift"
    assert not target.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert "waits for a person" in typed("retrain").stdout
    assert typed("retrain", "waiting").exit_code == 1


def test_what_is_agreed_to_is_trained_and_held_against_the_champion(story: Bed) -> None:
    target = story.target()
    agreed = typed("retrain", "approve", "--reason", "new destinations")
    assert agreed.exit_code == 0, agreed.output
    seen = until(target, lambda seen: seen.record.phase is Phase.IDLE)
    entry = seen.record.history[-1]
    assert entry.kind == "candidate", entry.text
    assert seen.waits is not None
    assert seen.waits.through == LAST_DAY, "the day of the requests, not of the clock"
    (job,) = target.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Completed"
    digest, key = seen.waits.package["package_digest"], target.output("signing_key").encode()
    facts = (
        BucketPackageStore("", target.client("s3")).evidence(seen.waits.package["archive_uri"], key).verify(digest, key)
    )
    assert facts.builder.invocation == job["TrainingJobArn"]
    assert facts.source.commit is None, "the champion's code comes from its package, not from a checkout"
    assert package(story, digest)["ModelApprovalStatus"] == "PendingManualApproval", "trained is not released"
    assert typed("retrain", "waiting").exit_code == 0
    assert f"candidate {seen.waits.release} waits" in typed("status").stdout


def test_a_person_begins_a_job_and_stops_it(story: Bed) -> None:
    target = story.target()
    assert typed("retrain", "start", "--reason", "to see").exit_code == 0
    job = look(target).record.job
    stopped = typed("retrain", "stop", "--reason", "seen")
    assert f"{job} is stopped, the champion stays" in stopped.output
    until(target, lambda seen: seen.record.phase is Phase.IDLE)
    assert target.client("sagemaker").describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "Stopped"
    assert typed("retrain", "stop", "--reason", "again").exit_code == 1


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
    (cost,) = load(ROOT / "monitoring").each  # this project's own metric
    for name, most in (("LogLoss", 1.0), ("LogLossSquared", 2.0), (cost, 5.0), (f"{cost}Squared", 25.0)):
        count, total = seen(target, variant, name)
        assert count == len(known)
        assert 0 < total / count < most
    assert seen(target, variant, f"{cost}Failed") == (0, 0)


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
