"""Built by an execution of a stack's pipeline in SageMaker: what it was given, and what its jobs have left."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demos.builds.digest_comparison import PACKAGE
from modelstack.cli.errors import OperatorError, explained
from modelstack.pipeline.engines.sagemaker import SETTINGS, groups
from modelstack.pipeline.outcome import RECORD
from modelstack.pipeline.pack import SEALED
from modelstack.pipeline.recipe import Recipe
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws import executions
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.executions import ExecutionStatus


@dataclass(frozen=True)
class Executed:
    """An execution that has built a recipe.

    Attributes:
        arn: Which.
        ended: When its last step did.
        digests: Step -> digest of its outcome, but of steps that change something outside; and that of the package.
        texts: What its steps were given: name -> text.
    """

    arn: str
    ended: datetime
    digests: Mapping[str, str]
    texts: Mapping[str, str]


class NoneExecuted(OperatorError):
    """No execution has built the recipe."""


def executed(clients: Clients, pipeline: str, folder: str, wanted: Recipe) -> Executed:
    """The newest execution that has built a recipe.

    Args:
        clients: Gives clients.
        pipeline: The pipeline's name.
        folder: `s3://bucket/key` below which its jobs put what they make.
        wanted: The recipe.

    Raises:
        NoneExecuted: There is none.
        OperatorError: It cannot be read.
    """
    with explained(f"reading the executions of {pipeline}"):
        arn = executions.find(clients, pipeline, executions.name_of(wanted.digest), ("Succeeded",))
        if arn is None:
            raise NoneExecuted(f"no execution of pipeline {pipeline} has built recipe {wanted.id}")
        seen = executions.look(clients, arn)
        ended = max(step.ended for step in seen.steps if step.ended)
        return Executed(arn, ended, _digests(clients, folder, seen), _texts(clients, arn))


def _digests(clients: Clients, folder: str, seen: ExecutionStatus) -> dict[str, str]:
    found, package = dict[str, str](), ""
    for group in groups(PIPELINE):
        job = seen.step(group.name)
        trained = _trained(clients, job.job) if job and group.kind == "Training" else {}
        for step in group.steps:
            file = f"{step.name}/{RECORD}"
            said = trained.get(file) or executions.outcome(clients, folder, seen, group.name, file)
            if step.cached and said:
                found[step.name] = str(said["digest"])
            if SEALED in step.gives:
                package = str(trained[f"{step.name}/{SEALED}"]["digest"])
    return {**found, PACKAGE: package}


def _trained(clients: Clients, job: str) -> dict[str, Any]:
    """The JSON files, by `<step>/<name>`, of the archive that a training job has left."""
    described = clients("sagemaker").describe_training_job(TrainingJobName=job.rpartition("/")[2])
    bucket, _, key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    content = clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        wanted = [name for name in archive.getnames() if name.rpartition("/")[2] in {RECORD, SEALED}]
        return {name: json.load(file) for name in wanted if (file := archive.extractfile(name))}


def _texts(clients: Clients, arn: str) -> dict[str, str]:
    listed = clients("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    given = {one["Name"]: one["Value"] for one in listed["PipelineParameters"]}
    return dict(executions.read(clients, given[SETTINGS]) or {})
