"""Stands in for SageMaker Pipelines, S3 and Logs: an execution goes through the looks that it is given."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody

PIPELINE = "flight-delay-dev"
FOLDER = "s3://artifacts/pipeline"
ARN = f"arn:aws:sagemaker:us-east-1:000000000000:pipeline/{PIPELINE}/execution/abcdef012345"
TAKES = ("code", "champion", "code_digest", "parameters", "through", "recipe", "source", "settings")
Look = tuple[str, Sequence[dict[str, Any]]] | Exception
DOWN = EndpointConnectionError(endpoint_url="https://sagemaker.us-east-1.amazonaws.com")


def step(name: str, status: str, **more: Any) -> dict[str, Any]:
    """A step as `ListPipelineExecutionSteps` tells it."""
    kind = {"build": "TrainingJob", "check": "ProcessingJob", "release": "ProcessingJob"}.get(name)
    noun = "training" if name == "build" else "processing"
    job = f"arn:aws:sagemaker:us-east-1:000000000000:{noun}-job/pipelines-{name}"
    told = {"StepName": name, "StepStatus": status, "StartTime": datetime.now(UTC), **more}
    return {**told, "Metadata": {kind: {"Arn": job}}} if kind else told


@dataclass
class Pipelines:
    """SageMaker Pipelines, S3 and Logs.

    Attributes:
        looks: Status and steps of the execution at each look, or what is raised; the last one is repeated.
        lines: Job -> its log.
        known: Executions that exist before the first is started.
    """

    looks: list[Look] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    known: list[dict[str, Any]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def __call__(self, service: str) -> Pipelines:
        return self

    def has(self, uri: str, said: Any) -> None:
        """Put a JSON object into the bucket."""
        self.objects[uri] = json.dumps(said).encode()

    def start_pipeline_execution(self, **asked: Any) -> dict[str, str]:
        self.started.append(asked)
        return {"PipelineExecutionArn": ARN}

    def list_pipeline_executions(self, **asked: Any) -> dict[str, Any]:
        """Two pages, so that reading the first alone fails."""
        assert (asked["PipelineName"], asked["SortOrder"]) == (PIPELINE, "Descending")
        if "NextToken" not in asked:
            return {"PipelineExecutionSummaries": [], "NextToken": "more"}
        return {"PipelineExecutionSummaries": self.known}

    def describe_pipeline_execution(self, PipelineExecutionArn: str) -> dict[str, Any]:
        look = self.looks[0]
        if isinstance(look, Exception):
            self._next()
            raise look
        return {"PipelineExecutionStatus": look[0]}

    def list_pipeline_execution_steps(self, **asked: Any) -> dict[str, Any]:
        look = self._next()
        assert not isinstance(look, Exception)
        return {"PipelineExecutionSteps": list(look[1])}

    def stop_pipeline_execution(self, PipelineExecutionArn: str) -> None:
        self.stopped.append(PipelineExecutionArn)
        steps = next((look[1] for look in reversed(self.looks) if not isinstance(look, Exception)), ())
        self.looks[:] = [("Stopping", [{**one, "StepStatus": "Stopping"} for one in steps])]

    def _next(self) -> Look:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def put_object(self, Bucket: str, Key: str, Body: bytes, **_: Any) -> None:
        self.objects[f"s3://{Bucket}/{Key}"] = Body

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (uri := f"s3://{Bucket}/{Key}") not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": uri}}, "GetObject")
        return {"Body": StreamingBody(io.BytesIO(self.objects[uri]), len(self.objects[uri]))}

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return {"ModelArtifacts": {"S3ModelArtifacts": f"{FOLDER}/{TrainingJobName}/output/model.tar.gz"}}

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        found = [uri for uri in self.objects if uri.startswith(f"s3://{Bucket}/{Prefix}")]
        return {"KeyCount": len(found[:MaxKeys])}

    def describe_log_streams(self, logGroupName: str, logStreamNamePrefix: str) -> dict[str, Any]:
        assert logGroupName in {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}
        return {"logStreams": [{"logStreamName": f"{logStreamNamePrefix}algo-1-1"}]}

    def get_log_events(self, logGroupName: str, logStreamName: str, limit: int) -> dict[str, Any]:
        return {"events": list(self._events(logStreamName.partition("/")[0]))[-limit:]}

    def _events(self, job: str) -> Iterator[dict[str, Any]]:
        for at, line in enumerate(self.lines.get(job, [])):
            yield {"timestamp": at, "message": line}
