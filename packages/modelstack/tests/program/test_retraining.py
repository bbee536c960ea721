"""What retrains: its section of the config, what is declared for it, and what a retrained window does to a release."""

from __future__ import annotations

import json
import re

import pytest

from modelstack.monitoring.retraining.record import Candidate, RetrainingRecord
from modelstack.monitoring.retraining.rules import read
from modelstack.program.aws import stack_now
from modelstack.program.config import checkout
from modelstack.rollout.core.release import release_id
from modelstack.rollout.core.verdict import Verdict
from tests.program.recorded import FACTS, LOCAL, OLD, SOURCE, Answers, World, idle, verdict
from tests.program.recorded import run_program as run
from tests.program.refusals import refusal

CANDIDATE = Candidate(
    through="2013-06-16",
    recipe="b" * 64,
    release=release_id("b" * 64, LOCAL.process_image),
    package={key: FACTS[key] for key in ("package_digest", "archive_uri", "manifest_sha256", "model_package_arn")},
    why="flight-delay-local-v-drift fired",
    champion=OLD.id,
)
RECORD = RetrainingRecord().with_candidate(CANDIDATE)


# --- the section


def test_a_schedule_that_the_cool_down_never_lets_be_met_is_refused() -> None:
    assert refusal(retraining={"every_days": 5}) == [
        "modelstack:retraining.every_days = 5: the cool-down lasts 7 days; allowed is 7 or more, or null"
    ]


def test_what_it_needs_of_the_rest_is_told_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "can_retrain", lambda: False)
    lines = refusal("prod", retraining={"enabled": True}, promotion={"from": "staging"}, serving={"capture_percent": 0})
    assert lines == [
        f"modelstack:retraining.enabled = true: {why}; allowed is false"
        for why in (
            "promotion.from is 'staging': a model is retrained where it is trained",
            "model/parameters.py has no retrained(parameters, through)",
            "serving.capture_percent is 0, so neither drift nor a moved concept is seen",
            "retraining.image is null, and there is no image that trains; `make image` builds one",
        )
    ]


# --- what is declared


@pytest.fixture(scope="module")
def world() -> World:
    return run(state=idle(OLD), retraining={"enabled": True, "ask": False, "most_per_week": 2, "check_minutes": 1})


def test_a_stack_that_does_not_retrain_declares_nothing_for_it() -> None:
    assert not run().all(":Retraining")


def test_the_function_gets_the_rules_the_gates_and_what_a_job_needs(world: World) -> None:
    function = world.function("retrain")
    rules, job = read(function["environment"]["variables"]["RETRAINING"])
    assert (rules.ask, rules.most_per_week, rules.on) == (False, 2, ("drift", "concept"))
    assert job.gates == {"auc": {"min": 0.6}, "log_loss": {"max": 0.62}}
    assert job.role == LOCAL.training_role_arn
    assert job.signing_key == f"arn:aws:kms:us-east-1:{LOCAL.account}:key/signing"
    assert (job.image, job.bucket, job.group) == (LOCAL.process_image, LOCAL.bucket, LOCAL.package_group)
    assert function["handler"] == "modelstack.platforms.aws.handlers.retrain.handler"


def test_it_is_called_by_alarms_by_jobs_and_on_a_schedule(world: World) -> None:
    rules = {item.name: item.inputs for item in world.all(":EventRule") if item.name.startswith("retrain-")}
    assert world.one(":Schedule", "retrain").inputs["scheduleExpression"] == "rate(1 minute)"
    alarms = json.loads(rules["retrain-alarms"]["eventPattern"])
    assert alarms["detail"]["alarmName"] == [{"suffix": "-drift"}, {"suffix": "-concept"}]
    jobs = json.loads(rules["retrain-jobs"]["eventPattern"])
    assert jobs["detail"]["TrainingJobStatus"] == ["Completed", "Failed", "Stopped"]
    assert len({item.inputs["name"] for item in world.all(":EventRule")}) == len(world.all(":EventRule"))
    permissions = [item.inputs for item in world.all(":Permission") if item.name.startswith("retrain-")]
    assert len({item["statementId"] for item in permissions}) == len(permissions) == 2


def test_the_function_may_pass_one_role_to_sagemaker_alone(world: World) -> None:
    allowed = world.allows("retrain")
    (passing,) = [statement for statement in allowed if "iam:PassRole" in statement["Action"]]
    assert passing["Resource"] == [LOCAL.training_role_arn]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


# --- what is declared on a stack with a pipeline


@pytest.fixture(scope="module")
def piped() -> World:
    return run(state=idle(OLD), retraining={"enabled": True}, pipeline={"engine": "sagemaker"})


def test_the_function_of_a_stack_with_a_pipeline_knows_what_an_execution_is_begun_with(piped: World) -> None:
    _, job = read(piped.function("retrain")["environment"]["variables"]["RETRAINING"])
    assert (job.pipeline, job.folder) == (LOCAL.pipeline, f"s3://{LOCAL.bucket}/pipeline")
    declared = json.loads(piped.one(":Pipeline").inputs["pipelineDefinition"])
    assert list(job.takes) == [one["Name"] for one in declared["Parameters"]]
    assert not [item for item in piped.all(":Role") if item.name == "training"], "no lone job needs a role"


def test_it_is_called_when_an_execution_of_this_pipeline_has_ended(piped: World) -> None:
    rules = {item.name: item.inputs for item in piped.all(":EventRule") if item.name.startswith("retrain-")}
    assert rules.keys() == {"retrain-alarms", "retrain-executions"}
    detail = json.loads(rules["retrain-executions"]["eventPattern"])["detail"]
    assert detail["pipelineArn"] == [LOCAL.arn("sagemaker", f"pipeline/{LOCAL.pipeline}")]
    assert "Executing" not in detail["currentPipelineExecutionStatus"]


def test_what_runs_the_models_code_may_neither_sign_nor_register_and_an_execution_may_run_jobs_alone(
    piped: World,
) -> None:
    def may(role: str) -> set[str]:
        return {action for statement in piped.allows(role) for action in statement["Action"]}

    assert not {one for one in may("building") if one.startswith("sagemaker:") or one == "kms:Sign"}
    assert {"kms:Sign", "sagemaker:CreateModelPackage"} <= may("releasing")
    passing = next(one for one in piped.allows("pipeline") if "iam:PassRole" in one["Action"])
    assert {arn.rpartition("-")[2] for arn in passing["Resource"]} == {"building", "releasing"}
    assert not {one for one in may("pipeline") | may("building") if "Endpoint" in one or "Update" in one}


def test_jobs_of_the_models_code_run_on_the_instance_type_that_is_set_and_all_end_in_time() -> None:
    retraining = {"instance_type": "ml.m5.4xlarge", "max_minutes": 5}
    told = run(state=idle(OLD), retraining=retraining, pipeline={"engine": "sagemaker"}).one(":Pipeline").inputs
    text = json.dumps(json.loads(told["pipelineDefinition"]))
    assert text.count('"InstanceType": "ml.m5.4xlarge"') == 2
    assert set(re.findall('"MaxRuntimeInSeconds": ([0-9]+)', text)) == {"300"}


def test_the_package_waits_for_the_pipeline_that_builds_it(piped: World) -> None:
    assert piped.package["pipeline"]["pipeline"] == LOCAL.pipeline
    assert any("Pipeline::pipeline" in urn for urn in piped.one(":Package").depends)
    assert run(state=idle(OLD)).package.get("pipeline") is None
    assert not run(state=idle(OLD)).all(":Pipeline")


# --- what a retrained window does


def test_the_next_release_is_trained_on_the_retrained_window() -> None:
    parameters = run(state=idle(OLD), record=RECORD).package["parameters"]
    assert parameters["evaluate_until"] == "2013-06-15"
    assert parameters["max_iter"] == 60, "all else is the config's"


def test_the_package_that_the_job_has_registered_is_offered_to_the_next_release() -> None:
    offered = run(state=idle(OLD), record=RECORD).package["candidate"]
    assert offered == {**CANDIDATE.package, "recipe": CANDIDATE.recipe}
    assert run(state=idle(OLD)).package.get("candidate") is None


OWN = {"train_until": "2013-08-01", "evaluate_from": "2013-08-01", "evaluate_until": "2013-09-01"}


@pytest.mark.parametrize(
    ("rejected", "own"),
    [({CANDIDATE.release: verdict(OLD)}, {}), ({}, OWN)],
    ids=["rejected", "older than the config's"],
)
def test_a_window_that_was_rejected_or_is_not_newer_than_the_configs_does_not_count(
    rejected: dict[str, Verdict], own: dict[str, str]
) -> None:
    world = run(state=idle(OLD, rejected=rejected), record=RECORD, model={"parameters": own})
    assert world.package["parameters"] == own


def test_a_stack_that_takes_its_model_from_another_knows_no_window() -> None:
    assert stack_now.standing(RECORD, (), OLD.id) == CANDIDATE
    source = {**SOURCE, "release": OLD.as_dict()}
    world = run("local-staging", answers=Answers(source=source), state=idle(OLD), record=RECORD)
    package = world.package
    assert package["parameters"] == {}
    assert package.get("candidate") is None
