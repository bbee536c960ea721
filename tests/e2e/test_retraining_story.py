"""A drift alarm, a person who agrees, a training job and a candidate: by a real engine and local cloud.

The champion knows two days of January. The requests are of April, so that `now` is a day of April.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.bed import Bed
from cli.local.stack import Stack
from cli.retrain import Retraining, look
from cli.target import Target
from monitoring.drift.record import newest_day
from platforms.aws.documents import DynamoDocuments
from platforms.aws.names import documents
from platforms.s3.package_store import BucketPackageStore
from retraining.record import Phase
from services.drift_record import DriftRecord
from tests.e2e.conftest import journal, package, succeeded, typed
from tests.e2e.test_monitoring_story import ask
from tests.infra.recorded import LOCAL
from tests.needed import unused

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAY = "2013-04-16"
PARAMETERS = {"max_iter": 30, "folds": 0, "train_until": "2013-01-03", "evaluate_from": "2013-03-01"}
RETRAINING = {"enabled": True, "ask": True, "cool_down_days": 90, "check_minutes": 1, "max_minutes": 10}
ROLLOUT = {
    "wait": True,
    "strategy": {"kind": "steps", "steps": [{"weight": 50, "bake_seconds": 1}]},
    "judge": {"min_requests": 20, "metrics": {"errors": {"margin": 0.2}}},
    "replay": None,
    "max_minutes": 10,
    "metrics_timeout_minutes": 10,
}


@pytest.fixture(scope="module")
def stack(story: Bed) -> Stack:
    """A stack that retrains, with a champion that knows little."""
    stack = story.stack.with_parameters(story.folder, **PARAMETERS)
    assert stack.config is not None
    content = yaml.safe_load(stack.config.read_text())
    content["config"] |= {"modelstack:retraining": RETRAINING, "modelstack:rollout": ROLLOUT}
    content["config"]["modelstack:model"]["gates"] = {"auc": {"min": 0.5}}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=story.folder, delete=False) as copy:
        yaml.safe_dump(content, copy)
    return replace(stack, config=Path(copy.name))


def until(target: Target, met: Callable[[Retraining], bool], doing: Callable[[], Any] = lambda: None) -> Retraining:
    """Look at the retraining until it is so."""
    end = time.monotonic() + 400
    while not met(seen := look(target)):
        assert time.monotonic() < end, seen.as_dict()
        doing()
        time.sleep(1)
    return seen


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


def drifts(target: Target) -> None:
    """Say what the drift function says when the champion's requests have moved."""
    (variant,) = journal(target).weights
    dimensions = [{"Name": "EndpointName", "Value": target.endpoint}, {"Name": "VariantName", "Value": variant}]
    target.client("cloudwatch").put_metric_data(
        Namespace="modelstack",
        MetricData=[
            {"MetricName": "DriftEvidence", "Dimensions": dimensions, "Value": 2, "Timestamp": datetime.now(UTC)}
        ],
    )


def test_an_alarm_asks_a_person_and_the_day_is_that_of_the_requests(story: Bed, stack: Stack) -> None:
    succeeded(stack.up())
    target = story.target()
    requests_of(target, DAY, "2013-04-17")
    seen = until(target, lambda seen: seen.record.phase is Phase.ASKING, lambda: drifts(target))
    assert seen.record.trigger is not None
    assert seen.record.trigger.kind == "drift"
    assert not target.client("sagemaker").list_training_jobs()["TrainingJobSummaries"], "nothing is trained before"
    shown = typed("retrain")
    assert "waits for a person" in shown.stdout
    assert typed("retrain", "waiting").exit_code == 3


def test_what_is_agreed_to_is_trained_and_held_against_the_champion(story: Bed) -> None:
    target = story.target()
    agreed = typed("retrain", "approve", "--reason", "new destinations")
    assert agreed.exit_code == 0, agreed.output
    seen = until(target, lambda seen: seen.record.phase is Phase.IDLE)
    entry = seen.record.history[-1]
    assert entry.kind == "candidate", entry.text
    assert entry.numbers["low"] > 0, "better beyond doubt"
    assert seen.waits is not None
    assert seen.waits.through == DAY
    (job,) = target.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Completed"
    digest, key = seen.waits.package["package_digest"], target.output("signing_key").encode()
    facts = (
        BucketPackageStore("", target.client("s3")).evidence(seen.waits.package["archive_uri"], key).verify(digest, key)
    )
    assert facts.builder.invocation == job["TrainingJobArn"]
    assert facts.source.commit is None, "the champion's code comes from its package, not from a checkout"
    registered = package(story, digest)
    assert registered["ModelApprovalStatus"] == "PendingManualApproval", "trained is not released"
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


def test_the_roles_have_used_what_this_story_shows_to_be_needed(story: Bed) -> None:
    assert not unused("test_retraining_story", story.cloud, LOCAL)
