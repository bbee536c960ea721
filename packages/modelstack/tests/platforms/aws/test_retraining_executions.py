"""A retraining as an execution: its inputs, and its state in the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelstack.monitoring.retraining.decision import JobSeen, Start
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.monitoring.retraining.rules import JobSettings, Rules, read, written
from modelstack.platforms.aws.retraining_executions import Executions
from tests.monitoring.retraining.test_decision import BETTER, CHAMPION, IMAGE
from tests.platforms.aws.pipelines import ARN, FOLDER, PIPELINE, TAKES, Pipelines, step

JOB = JobSettings(
    *("", IMAGE, "ml.m5.large", 600, -0.01, "artifacts", "flight-delay-dev", "us-east-1", "arn:key"),
    gates={"auc": {"min": 0.6}},
    pipeline=PIPELINE,
    folder=FOLDER,
    takes=TAKES,
)
NAME = "flight-delay-dev-20130501-1"
RECORD = RetrainingRecord(job=NAME, through="2013-05-01")
HERE = f"{FOLDER}/abcdef012345"
DONE = [step("build", "Succeeded"), step("check", "Succeeded")]
COMPARED = {"comparison": {"gain": 0.02, "low": 0.01, "high": 0.03}}


def named(status: str, name: str = NAME) -> dict[str, Any]:
    return {"PipelineExecutionArn": ARN, "PipelineExecutionDisplayName": name, "PipelineExecutionStatus": status}


def seen(status: str, steps: list[dict[str, Any]], **files: Any) -> JobSeen:
    cloud = Pipelines([(status, steps)], known=[named("Executing", "recipe-0"), named(status)])
    for name, content in files.items():
        cloud.has({"verdict": f"{HERE}/check/gate/verdict.json", "compared": f"{HERE}/check/compare/compared.json",
                   "registered": f"{HERE}/release/register/registered.json",
                   "refusal": f"{FOLDER}/refused/pipelines-build.json",
                   "failure": f"{FOLDER}/refused/pipelines-build.failed.json"}[name], content)  # fmt: skip
    return Executions(cloud, JOB).seen(RECORD)


def test_an_execution_knows_all_that_a_training_job_knew() -> None:
    cloud = Pipelines()
    rules, job = read(written(Rules(), JOB))
    assert (rules, job) == (Rules(), JOB), "by way of the function's environment"
    Executions(cloud, job).create(Start(NAME, CHAMPION, "2013-05-01"))
    (asked,) = cloud.started
    given = {one["Name"]: one["Value"] for one in asked["PipelineParameters"]}
    assert (asked["PipelineName"], asked["PipelineExecutionDisplayName"]) == (PIPELINE, NAME)
    assert given["code"] == given["champion"] == CHAMPION.archive_uri
    assert (given["code_digest"], given["through"]) == (CHAMPION.package_digest, "2013-05-01")
    texts = json.loads(cloud.objects[given["settings"]])
    assert (json.loads(texts["gates"]), float(texts["min_gain"])) == (JOB.gates, JOB.min_gain)
    assert texts["champion_digest"] == CHAMPION.package_digest
    assert json.loads(texts["place"])["image_uri"] == CHAMPION.image_uri
    assert json.loads(texts["lineage"])["retrained_from"] == CHAMPION.package_digest


def test_one_that_is_under_way_is_not_begun_again_and_is_the_one_to_stop() -> None:
    cloud = Pipelines(known=[named("Executing")])
    Executions(cloud, JOB).create(Start(NAME, CHAMPION, "2013-05-01"))
    assert cloud.started == []
    Executions(cloud, JOB).stop(NAME)
    Executions(cloud, JOB).stop("another")
    assert cloud.stopped == [ARN]
    Executions(ended := Pipelines(known=[named("Succeeded")]), JOB).stop(NAME)
    assert ended.stopped == []


def test_a_better_version_is_reported_as_a_training_job_reported_it() -> None:
    package = {**BETTER["package"], "recipe": BETTER["recipe"]}
    verdict = {"passed": True, "outcome": "passed", "why": BETTER["why"], "misses": []}
    told = seen(
        "Succeeded", [*DONE, step("release", "Succeeded")], verdict=verdict, compared=COMPARED, registered=package
    )
    assert told.status == "completed"
    assert told.report is not None
    assert (told.report["outcome"], told.report["recipe"]) == ("better", BETTER["recipe"])
    assert BETTER["package"].items() <= told.report["package"].items()
    assert (told.report["through"], told.report["comparison"]) == ("2013-05-01", COMPARED["comparison"])


@pytest.mark.parametrize("outcome", ["not_better", "refused"])
def test_a_version_that_may_not_be_released_is_a_report_and_no_failure(outcome: str) -> None:
    verdict = {"passed": False, "outcome": outcome, "why": "gain 0.01", "misses": []}
    told = seen(
        "Failed", [*DONE, step("gate-refused", "Failed", FailureReason="refused")], verdict=verdict, compared=COMPARED
    )
    assert told == JobSeen(
        "completed", report={"outcome": outcome, "why": "gain 0.01", "through": "2013-05-01", **COMPARED}
    )


def test_a_step_that_refuses_is_a_report_in_its_own_words() -> None:
    told = seen(
        "Failed",
        [step("build", "Failed", FailureReason="exit code: 4")],
        refusal={"step": "data", "why": "nothing newer"},
    )
    assert told == JobSeen("completed", report={"outcome": "refused", "why": "nothing newer", "through": "2013-05-01"})


def test_a_step_that_fails_is_told_in_its_own_words_and_is_no_report() -> None:
    failed = step("build", "Failed", FailureReason="AlgorithmError: train failed: no, exit code: 1")
    assert seen("Failed", [failed], failure={"step": "train", "why": "train failed: no"}) == JobSeen(
        "failed", "train failed: no"
    )


@pytest.mark.parametrize(
    ("status", "steps", "expected"),
    [
        ("Executing", [step("build", "Executing")], JobSeen("running")),
        ("Stopping", [step("build", "Stopping")], JobSeen("running")),
        ("Stopped", [step("build", "Stopped")], JobSeen("failed", "it was stopped")),
        ("Failed", [step("build", "Failed", FailureReason="no instance")], JobSeen("failed", "no instance")),
    ],
)
def test_any_other_end_is_told_with_its_reason(status: str, steps: list[dict[str, Any]], expected: JobSeen) -> None:
    assert seen(status, steps) == expected


def test_one_of_which_nothing_is_known_is_missing() -> None:
    assert Executions(Pipelines(known=[named("Executing", "another")]), JOB).seen(RECORD) == JobSeen("missing")
