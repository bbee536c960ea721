"""What does SageMaker tell EventBridge of endpoints, jobs and pipelines?

Source: "Events that Amazon SageMaker AI sends to Amazon EventBridge" in the developer guide: statuses in upper snake
case, times in epoch milliseconds, tags as a map; of pipelines, members in camel case and times as text. As there, an
event may come more than once, and one that the bus refuses is only logged: nothing waits for those who listen.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

from localcloud.sagemaker import processing_status, training_status
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.summaries import Progress, described
from localcloud.server.platform import Deliveries, DeliveryRefused

SOURCE = "aws.sagemaker"
STATE_CHANGE = "SageMaker Endpoint State Change"
DEPLOYMENT_STATE_CHANGE = "SageMaker Endpoint Deployment State Change"
TRAINING_STATE_CHANGE = "SageMaker Training Job State Change"
PROCESSING_STATE_CHANGE = "SageMaker Processing Job State Change"
EXECUTION_STATUS_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_STATUS_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"

_TIMES = {
    "CreationTime",
    "LastModifiedTime",
    "StartTime",
    "EndTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "ProcessingStartTime",
    "ProcessingEndTime",
    "Timestamp",
}
# Of these a processing job's events have the values in upper snake case.
_ENUMS = {"S3DataType", "S3InputMode", "S3DataDistributionType", "S3CompressionType", "S3UploadMode"}
_LEFT_OUT = {"LastDeploymentConfig", "DataCaptureConfig", "DeployedImages"}
_log = logging.getLogger(__name__)


class Events:
    """Tells the default event bus."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def state(self, endpoint: Document) -> None:
        """An endpoint came into a state."""
        await self._tell(STATE_CHANGE, endpoint, None)

    async def deployment(self, endpoint: Document, progress: Progress | None) -> None:
        """A deployment came to its next stage."""
        await self._tell(DEPLOYMENT_STATE_CHANGE, endpoint, progress)

    async def training_job(self, job: Document) -> None:
        """A training job came into a status."""
        detail = _shown(training_status.described(job))
        await self._put(TRAINING_STATE_CHANGE, job["TrainingJobArn"], detail, job)

    async def processing_job(self, job: Document) -> None:
        """A processing job came into a status."""
        detail = _in_upper_case(_shown(processing_status.described(job)))
        await self._put(PROCESSING_STATE_CHANGE, job["ProcessingJobArn"], detail, job)

    async def execution(self, execution: Document, previous: str) -> None:
        """An execution of a pipeline came from one status into another; from none, empty, when it began."""
        detail = {
            "pipelineExecutionDisplayName": execution["PipelineExecutionDisplayName"],
            "pipelineExecutionDescription": execution.get("PipelineExecutionDescription"),
            "currentPipelineExecutionStatus": execution["PipelineExecutionStatus"],
            "previousPipelineExecutionStatus": previous,
            "executionStartTime": _text(execution["CreationTime"]),
            "executionEndTime": _text(execution.get("EndTime")),
            "failureReason": execution.get("FailureReason"),
        }
        await self._of_pipeline(EXECUTION_STATUS_CHANGE, execution, detail)

    async def step(self, step: Document, previous: str) -> None:
        """A step of an execution came from one status into another."""
        detail = {
            "metadata": _in_camel_case(step.get("Metadata", {})),
            "stepStartTime": _text(step["StartTime"]),
            "stepEndTime": _text(step.get("EndTime")),
            "stepName": step["StepName"],
            "stepType": step["StepType"],
            "previousStepStatus": previous,
            "currentStepStatus": step["StepStatus"],
            "cacheHitResult": _in_camel_case(step.get("CacheHitResult")),
            "failureReason": step.get("FailureReason"),
        }
        await self._of_pipeline(STEP_STATUS_CHANGE, step, detail)

    async def _of_pipeline(self, kind: str, resource: Document, detail: Document) -> None:
        arns = {"pipelineArn": resource["PipelineArn"], "pipelineExecutionArn": resource["PipelineExecutionArn"]}
        told = {name: value for name, value in detail.items() if value not in (None, "")}
        await self._deliver(kind, [*arns.values()], told | arns)

    async def _tell(self, kind: str, endpoint: Document, progress: Progress | None) -> None:
        detail = _shown(described(endpoint, progress))
        detail["EndpointStatus"] = _upper(endpoint["EndpointStatus"])
        await self._put(kind, endpoint["EndpointArn"], detail, endpoint)

    async def _put(self, kind: str, arn: str, detail: Document, resource: Document) -> None:
        detail["Tags"] = {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}
        await self._deliver(kind, [arn], detail)

    async def _deliver(self, kind: str, arns: list[str], detail: Document) -> None:
        try:
            await self._deliveries.event(SOURCE, kind, detail, arns)
        except DeliveryRefused as error:
            _log.warning("%s of %s was not told: %s", kind, arns[-1], error)
        except Exception:
            _log.exception("%s of %s was not told", kind, arns[-1])


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: round(item * 1000) if name in _TIMES else _shown(item)
            for name, item in value.items()
            if name not in _LEFT_OUT
        }
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _in_upper_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _upper(item) if name in _ENUMS else _in_upper_case(item) for name, item in value.items()}
    return [_in_upper_case(item) for item in value] if isinstance(value, list) else value


def _upper(word: str) -> str:
    """`EndOfJob` as `END_OF_JOB`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).upper()


def _text(time: float | None) -> str | None:
    """Epoch seconds as `2021-03-15T16:03:13Z`."""
    return None if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _in_camel_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{name[:1].lower()}{name[1:]}": _in_camel_case(item) for name, item in value.items()}
    return [_in_camel_case(item) for item in value] if isinstance(value, list) else value
