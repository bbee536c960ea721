"""Do all engines make the same package, and what does a pipeline in the local SageMaker add to the bare steps?

A stack with `pipeline.engine: sagemaker` is brought up on a bed of its own, with a recipe that nobody has built. Then
the local engine builds the same with nothing kept, and Kubeflow's SDK in containers, if there is a Docker engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import yaml
from rich.console import Console

from bench import ROOT
from bench.bed import BenchError, bed, must
from bench.rows import Row
from demos.builds import digest_comparison, kubeflow_docker, local_build, sagemaker_execution
from demos.builds.sagemaker_execution import Executed
from demos.versions import as_good
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import Target
from modelstack.pipeline.engines import local
from modelstack.pipeline.recipe import recipe
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws import executions, names
from modelstack.platforms.aws.clients import Clients, clients
from modelstack.platforms.aws.executions import ExecutionStatus

_PAUSE_SECONDS = 0.05
_MOST_SECONDS = 300


def rows() -> list[Row]:
    """The number of engines with the same package, and seconds of an execution."""
    with bed() as made:
        stack = _by_sagemaker(as_good(made.stack, made.folder))
        must(stack.up(), "pulumi up")
        target, wanted = made.target(), recipe(ROOT, stack.parameters())
        make, folder = clients(target.region), f"s3://{target.output('artifact_bucket')}/{names.PIPELINE}"
        first = sagemaker_execution.executed(make, target.endpoint, folder, wanted)
        took = _seconds(make, executions.look(make, first.arn))
        bare = _bare(made.folder / "bare", first.texts)
        cached = _seconds(make, _again(make, target.endpoint, first.arn))
        found = {"local": local_build.left(made.folder / "bare"), "sagemaker": first.digests}
        lacking = _by_kubeflow(stack, target, first, found)
    whole, verdict = max(took.values()), max(cached[name] for name in ("build", "check"))
    return [
        Row("pipeline_same_digest", digest_comparison.agreed(found), "engines", "== 3", f"{', '.join(found)}{lacking}"),
        Row("pipeline_overhead_s", round(whole - bare, 1), "s", "<= 5", f"{whole:.1f} s over bare steps {bare:.1f} s"),
        Row(
            *("pipeline_cached_s", round(verdict, 2), "s", "<= 3"),
            f"until build and check are found again; with release, which always runs, {max(cached.values()):.1f} s",
        ),
    ]


def _by_sagemaker(stack: Stack) -> Stack:
    """The same stack, whose packages are built by executions."""
    assert stack.config is not None
    content = stack.written()
    content["config"]["modelstack:pipeline"] = {"engine": "sagemaker"}
    copy = stack.config.with_suffix(".sagemaker.yaml")
    copy.write_text(yaml.safe_dump(content))
    return replace(stack, config=copy)


def _bare(folder: Path, texts: Mapping[str, str]) -> float:
    """Seconds of all steps on this machine, each a process, with nothing kept; their outcomes are left in a folder."""
    folder.mkdir()
    begun = time.monotonic()
    local.run(
        *(PIPELINE, ROOT, texts),
        keep=folder,
        groups={step.group for step in PIPELINE.steps},
        progress=lambda line: None,
    )
    return time.monotonic() - begun


def _again(make: Clients, pipeline: str, arn: str) -> ExecutionStatus:
    """An execution with the parameters of another, at its end."""
    sagemaker = make("sagemaker")
    listed = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    given = [one for one in listed if one["Value"]]  # those that were not given are listed with their defaults
    begun = sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=given)
    end = time.monotonic() + _MOST_SECONDS
    while (seen := executions.look(make, begun["PipelineExecutionArn"])).under_way:
        if time.monotonic() > end:
            raise BenchError(f"the second execution does not end: {seen}")
        time.sleep(_PAUSE_SECONDS)
    cached = [step.name for step in seen.steps if step.cached]
    if seen.status != "Succeeded" or cached != ["build", "check"]:
        raise BenchError(f"the second execution did not find build and check again: {seen}")
    return seen


def _seconds(make: Clients, seen: ExecutionStatus) -> dict[str, float]:
    """Step -> seconds from the beginning of the execution to the step's end."""
    begun: datetime = make("sagemaker").describe_pipeline_execution(PipelineExecutionArn=seen.arn)["CreationTime"]
    return {step.name: (step.ended - begun).total_seconds() for step in seen.steps if step.ended}


def _by_kubeflow(stack: Stack, target: Target, first: Executed, found: dict[str, Mapping[str, str]]) -> str:
    """Add what Kubeflow's SDK makes of the same; or say why it can make nothing."""
    console = Console(quiet=True)
    try:
        image = kubeflow_docker.image_of(target.output("container_repository"), console)
    except kubeflow_docker.NoEngine as error:
        return f"; not kubeflow: {error}"
    found["kubeflow"] = kubeflow_docker.digests(
        stack, image, first.texts, kubeflow_docker.keys(os.environ), lambda line: None
    )
    return ""
