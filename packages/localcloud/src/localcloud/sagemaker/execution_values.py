"""What do the functions in a definition come to in one execution?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.pipeline_definition import Definition
from localcloud.sagemaker.pipeline_functions import FunctionFailed, Reference, inside
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.transfer import address


@dataclass(frozen=True)
class ExecutionValues:
    """What references stand for in an execution; a `Values`.

    Attributes:
        execution: Its document.
        definition: What it executes.
        steps: The documents of its steps, by name.
        now: The time.
        job: The name of the job of the step whose functions these are.
        s3: Answers an S3 client of the pipeline's role; None where nothing is read.
    """

    execution: Document
    definition: Definition
    steps: Mapping[str, Document]
    now: float
    job: str = ""
    s3: Any = None

    def get(self, reference: Reference) -> Any:
        """What a reference stands for.

        Raises:
            FunctionFailed: Nothing.
        """
        if reference.space == "Parameters":
            return self.execution["Values"][reference.name]
        if reference.space == "Execution":
            return self._variables()[reference.name]
        if reference.space == "PipelineExperimentConfig":
            return inside(self.execution.get("PipelineExperimentConfig", {}), (reference.name,), reference.text)
        return inside(self._properties(reference), reference.path, reference.text)

    def address_of(self, property_file: Reference) -> str:
        """Where in S3 a property file of a step is.

        Raises:
            FunctionFailed: The step has left none.
        """
        name = str(property_file.path[1])
        output, path = self.definition.steps[property_file.name].property_files[name]
        where = ("ProcessingOutputConfig", "Outputs", output, "S3Output", "S3Uri")
        return f"{inside(self._properties(property_file), where, property_file.text).rstrip('/')}/{path}"

    def read(self, url: str) -> Any:
        """The JSON in an object of S3; blocks.

        Raises:
            FunctionFailed: It cannot be read, or is no JSON.
        """
        if self.s3 is None:
            raise FunctionFailed(f"{url} is not read before a step runs")
        bucket, key = address(url)
        try:
            return json.loads(self.s3().get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, BotoCoreError, ValueError) as error:
            raise FunctionFailed(f"Failed to read the JSON file {url}: {error}") from error

    def _properties(self, reference: Reference) -> Document:
        step = self.steps.get(reference.name, {})
        if step.get("StepStatus") != "Succeeded":
            raise FunctionFailed(f"{reference.text} has no value: step {reference.name} has not succeeded")
        return step["Properties"]

    def _variables(self) -> dict[str, str]:
        execution = self.execution
        return {
            "StartDateTime": _text(execution["CreationTime"]),
            "CurrentDateTime": _text(self.now),
            "PipelineName": execution["PipelineName"],
            "PipelineArn": execution["PipelineArn"],
            "PipelineExecutionId": execution["PipelineExecutionArn"].rpartition("/")[2],
            "PipelineExecutionArn": execution["PipelineExecutionArn"],
            "TrainingJobName": self.job,
            "ProcessingJobName": self.job,
        }


def _text(time: float) -> str:
    """Epoch seconds as `2021-03-15T16:03:13.250Z`."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
