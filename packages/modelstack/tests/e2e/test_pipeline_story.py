"""Updates that have a pipeline of SageMaker build: executions that succeed, are killed, stopped, and retrain.

By a real engine and local cloud, whose jobs are real processes with the rights of the stack's roles.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from bench.bed import Bed
from demos.builds import local_build
from demos.builds.sagemaker_execution import executed
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.replay import background
from modelstack.monitoring.retraining.record import Phase
from modelstack.pipeline.build import build
from modelstack.pipeline.engines.sagemaker import definition
from modelstack.pipeline.recipe import recipe
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws import executions
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.executions import ExecutionStatus
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.program.aws.executions import site
from modelstack.program.config.settings import Settings
from tests.e2e.conftest import RATE, journal, package, succeeded, typed, with_config
from tests.e2e.test_monitoring_story import requests_of, until
from tests.needed import unused
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.program.recorded import LOCAL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

IMAGE = LOCAL.process_image
DAY = "2013-04-16"
PATIENCE = 400  # seconds for anything; loose, for the machine may be busy


@pytest.fixture(scope="module")
def stack(first: Stack) -> Stack:
    """A stack whose pipeline trains, anew as well."""
    retraining = {"enabled": True, "ask": False, "check_minutes": 1, "min_gain": -0.1}
    return with_config(first, pipeline={"engine": "sagemaker"}, retraining=retraining, serving={"capture_percent": 100})


def configured(stack: Stack) -> dict[str, str]:
    """The stack's config as Pulumi gives it to a program."""
    found = stack.written()["config"]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def other(stack: Stack, trees: int) -> Stack:
    """The same stack with another recipe."""
    return with_config(stack, model={"parameters": {**stack.parameters(), "max_iter": trees}})


def begun(status: str = "") -> list[ExecutionStatus]:
    """The executions of the stack's pipeline in a status, the newest first."""
    make = clients(LOCAL.region)
    listed = make("sagemaker").list_pipeline_executions(
        PipelineName=LOCAL.pipeline, SortBy="CreationTime", SortOrder="Descending"
    )
    found = [executions.look(make, one["PipelineExecutionArn"]) for one in listed["PipelineExecutionSummaries"]]
    return [one for one in found if status in {"", one.status}]


def registered() -> int:
    """How many versions there are."""
    listed = boto3.client("sagemaker").list_model_packages(ModelPackageGroupName=LOCAL.package_group)
    return len(listed["ModelPackageSummaryList"])


def test_an_update_trains_by_an_execution_to_the_digest_of_the_local_engine(
    story: Bed, stack: Stack, tmp_path: Path
) -> None:
    succeeded(stack.up())
    champion = journal(story.target()).champion
    assert champion is not None
    (seen,) = begun()
    assert seen.status == "Succeeded"
    assert {step.name: step.status for step in seen.steps} == dict.fromkeys(
        ("build", "check", "gate-passed", "release"), "Succeeded"
    )
    wanted = recipe(ROOT, stack.parameters())
    gates = stack.written()["config"]["modelstack:model"]["gates"]
    sealed = build(ROOT, wanted, gates, tmp_path, progress=lambda line: None)
    assert (champion.package_digest, champion.recipe) == (sealed.digest, sealed.recipe)
    make = clients(LOCAL.region)
    made = executed(make, LOCAL.pipeline, LOCAL.pipeline_folder, wanted)
    assert (made.arn, made.digests) == (seen.arn, local_build.left(sealed.path.parents[1]))
    key = story.stack.outputs()["signing_key"].encode()
    facts = BucketPackageStore("", make("s3")).evidence(champion.archive_uri, key).verify(champion.package_digest, key)
    job = next(step.job for step in seen.steps if step.name == "build")
    assert (facts.builder.invocation, facts.builder.job) == (seen.arn, job)
    assert facts.source.commit is not None, "git was asked here, and not in the job"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own
def test_the_sdk_reads_what_was_declared_and_what_ran(stack: Stack) -> None:
    # It takes seconds to load, and needs the region of this cloud for that.
    from sagemaker.mlops.workflow import Pipeline, PipelineExecution

    pipeline = Pipeline(name=LOCAL.pipeline)
    told = json.loads(pipeline.describe()["PipelineDefinition"])
    assert told == json.loads(definition(PIPELINE, site(LOCAL, Settings.load(configured(stack), stack.name), IMAGE)))
    (listed,) = pipeline.list_executions()["PipelineExecutionSummaries"]
    execution = PipelineExecution(arn=listed["PipelineExecutionArn"])
    assert execution.describe()["PipelineExecutionStatus"] == "Succeeded"
    assert {step["StepName"] for step in execution.list_steps()} == {"build", "check", "gate-passed", "release"}
    given = pipeline.build_parameters_from_execution(execution.arn)
    assert given["recipe"] == recipe(ROOT, stack.parameters()).digest
    assert json.loads(given["parameters"])["max_iter"] == stack.parameters()["max_iter"]


class Update:
    """`pulumi up` in the background, as a person runs it in a terminal."""

    def __init__(self, stack: Stack) -> None:
        words = ("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--stack", stack.name)
        self._process = subprocess.Popen(
            ["pulumi", *words, *stack.options()],
            cwd=stack.root,
            env={**os.environ, **stack.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def send(self, number: int) -> None:
        """Send a signal to the command alone, as `kill` does."""
        self._process.send_signal(number)

    def ended(self) -> Done:
        """Wait until it has."""
        output, _ = self._process.communicate(timeout=PATIENCE)
        return Done(self._process.returncode, output)


def training(story: Bed) -> psutil.Process | None:
    """The process of the step that fits a model in a job of this cloud."""
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if words[1:4] == ["-m", "modelstack.pipeline.run", "train"] and any(
            str(story.folder) in word for word in words
        ):
            return one
    return None


def soon(look: Callable[[], Any]) -> Any:
    """What is seen as soon as something is."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


def test_a_step_that_is_killed_is_named_with_how_it_ended_and_nothing_is_registered(story: Bed, stack: Stack) -> None:
    update = Update(other(stack, 400))
    soon(lambda: training(story)).kill()
    done = update.ended()
    assert done.code != 0
    began = f"step build of execution {executions.short(begun()[0].arn)} failed"
    assert f"{began}: train was ended by signal 9 (Killed)" in done.output, "the job put the reason where it may"
    assert registered() == 1


def test_ctrl_c_stops_the_execution_and_its_job(story: Bed, stack: Stack) -> None:
    update = Update(other(stack, 401))
    process = soon(lambda: training(story))
    update.send(signal.SIGINT)
    done = update.ended()
    assert done.code != 0
    stopped = begun()[0]
    wait_for(
        lambda: not executions.look(clients(LOCAL.region), stopped.arn).under_way, PATIENCE, "the end of the execution"
    )
    assert executions.look(clients(LOCAL.region), stopped.arn).status == "Stopped"
    wait_for(lambda: not process.is_running(), PATIENCE, "the end of its step")
    assert registered() == 1


def test_a_retraining_by_an_execution_gives_a_candidate_which_the_next_update_releases(
    story: Bed, stack: Stack
) -> None:
    target, champion = story.target(), journal(story.target()).champion
    assert champion is not None
    requests_of(target, DAY, "2013-04-17")
    assert typed("retrain", "start", "--reason", "spring").exit_code == 0
    seen = until(target, lambda seen: seen.record.phase is Phase.IDLE)
    entry = seen.record.history[-1]
    assert (entry.kind, entry.through) == ("candidate", DAY), entry.text
    assert seen.waits is not None
    digest = seen.waits.package["package_digest"]
    assert package(story, digest)["ModelApprovalStatus"] == "PendingManualApproval", "trained is not released"
    arn = executions.find(target.client, LOCAL.pipeline, entry.job)
    with background(target, RATE, since=DAY) as report:
        succeeded(stack.up())
    assert report.failed == 0
    served = journal(target).champion
    assert served is not None
    assert (served.package_digest, begun()[0].arn) == (digest, arn), "nothing is trained again"
    answer = target.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=target.endpoint,
        ContentType="application/json",
        InferenceId="of-spring",
        Body=(ROOT / "model/example_request.json").read_bytes(),
    )
    traced = json.loads(soon(lambda: (told := typed("trace", "of-spring", "--json")).exit_code == 0 and told.stdout))
    assert traced["prediction"]["variant"] == answer["InvokedProductionVariant"]
    assert (traced["package"], traced["made"]["execution"]) == (digest, arn)
    assert (traced["made"]["retrained_from"], traced["made"]["retrained_through"]) == (champion.package_digest, DAY)
    (wanted,) = [one for one in traced["people"] if one["did"] == "training_began"]
    assert wanted["why"].endswith("spring"), "who wanted it is found by the name of the execution"


def test_the_roles_have_used_what_this_story_shows_to_be_needed(story: Bed) -> None:
    assert not unused("test_pipeline_story", story.cloud, LOCAL)
