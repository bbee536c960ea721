"""What stands around a local SageMaker in the test's own process: a few services of AWS, metrics, events and roles."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from localcloud.server.platform import Assumed, Datum, RoleRefused

from .asked import ROLE


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        return iter(lambda: self.read(size), b"")


@dataclass
class FakeAws:
    """As much of S3, Logs, ECR, SQS and CloudWatch as the local SageMaker calls.

    Attributes:
        alarms: State by name.
        messages: What was sent to queues: the queue's URL and the body.
    """

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    lines: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    alarms: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, service: str, **_: Any) -> FakeAws:
        return self

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:
        self._check("SendMessage")
        self.messages.append((QueueUrl, MessageBody))

    @staticmethod
    def body(content: bytes) -> Any:
        return _Body(content)

    def _check(self, operation: str) -> None:
        if operation in self.refused:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "as the test wants"}}, operation)

    def head_bucket(self, Bucket: str) -> dict[str, Any]:
        return {"BucketRegion": "us-east-1"}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
        return {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._check("GetObject")
        self.head_object(Bucket, Key)
        return {"Body": _Body(self.objects[Bucket, Key])}

    def put_object(self, Bucket: str, Key: str, Body: Any, **encryption: str) -> None:
        self._check("PutObject")
        self.objects[Bucket, Key] = Body if isinstance(Body, bytes) else Body.read()

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int = 2, ContinuationToken: str = "") -> Any:
        self._check("ListObjectsV2")
        keys = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        keys = [key for key in keys if key > ContinuationToken]
        page = {"Contents": [{"Key": key} for key in keys[:MaxKeys]]} if keys else {}
        return page | ({"IsTruncated": True, "NextContinuationToken": keys[MaxKeys - 1]} if keys[MaxKeys:] else {})

    def describe_alarms(self, AlarmNames: list[str], AlarmTypes: list[str]) -> dict[str, Any]:
        self._check("DescribeAlarms")
        found = [{"AlarmName": name, "StateValue": self.alarms[name]} for name in AlarmNames if name in self.alarms]
        return {"MetricAlarms": found}

    def describe_images(self, **_: Any) -> dict[str, Any]:
        return {"imageDetails": []}

    def create_log_group(self, logGroupName: str) -> None:
        self._check("CreateLogGroup")

    def create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        if (logGroupName, logStreamName) in self.lines:
            raise ClientError({"Error": {"Code": "ResourceAlreadyExistsException"}}, "CreateLogStream")
        self.lines[logGroupName, logStreamName] = []

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        self._check("PutLogEvents")
        self.lines[logGroupName, logStreamName] += [event["message"] for event in logEvents]


class Metrics:
    """Remembers what was observed."""

    def __init__(self) -> None:
        self.data: list[Datum] = []

    def put(self, namespace: str, data: Any) -> None:
        assert namespace in {"AWS/SageMaker", "/aws/sagemaker/TrainingJobs"}
        self.data += data

    def values(self, name: str, **dimensions: str) -> list[float]:
        return [d.value for d in self.data if d.name == name and dimensions.items() <= dict(d.dimensions).items()]


class Stop:
    """A stage that an endpoint or a job does not leave until the test has done there what it has to.

    Args:
        stage: An EndpointStatus, a VariantStatus or a SecondaryStatus, as events have it.
        times: How often it is told until it is the one that is meant.
    """

    def __init__(self, stage: str, times: int) -> None:
        self._stage = stage
        self._times = times
        self._reached = asyncio.Event()
        self._left = asyncio.Event()

    async def meet(self, detail: dict[str, Any]) -> None:
        """Wait, if an event tells of the stage."""
        pending = detail.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        stages = {entry["Status"] for variant in pending for entry in variant.get("VariantStatus", ())}
        stages |= {detail[status] for status in ("EndpointStatus", "SecondaryStatus") if status in detail}
        self._times -= self._stage in stages
        if self._times == 0 and not self._reached.is_set():
            self._reached.set()
            await self._left.wait()

    async def reached(self) -> None:
        """Wait until the endpoint waits there."""
        await self._reached.wait()

    async def __aenter__(self) -> None:
        await self.reached()

    async def __aexit__(self, *_: object) -> None:
        self._left.set()


class Bus:
    """Remembers the events that were put; who puts one waits at the stage that a test stops it at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._stops: list[Stop] = []

    async def event(self, source: str, detail_type: str, detail: Any, resources: Any = ()) -> None:
        assert source == "aws.sagemaker" and resources
        self.events.append((detail_type, json.loads(json.dumps(detail))))
        for stop in self._stops:
            await stop.meet(detail)

    def stop_at(self, stage: str, times: int = 1) -> Stop:
        """Make an endpoint or a job that has not begun to move wait at a stage: `async with` what is answered."""
        self._stops.append(Stop(stage, times))
        return self._stops[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The details of the events of a kind: `State` or `Deployment State`."""
        return [detail for detail_type, detail in self.events if detail_type == f"SageMaker Endpoint {kind} Change"]

    def of_pipelines(self) -> list[tuple[str, str]]:
        """The statuses of executions, named `execution`, and of steps, in the order in which they were told."""
        steps = ("stepName", "currentStepStatus")
        told = [detail for kind, detail in self.events if "Pipeline" in kind]
        execution = "currentPipelineExecutionStatus"
        return [(d[steps[0]], d[steps[1]]) if steps[0] in d else ("execution", d[execution]) for d in told]

    def of_processing(self, name: str) -> list[dict[str, Any]]:
        """The details of the events of a processing job."""
        told = [detail for kind, detail in self.events if kind == "SageMaker Processing Job State Change"]
        return [detail for detail in told if detail["ProcessingJobName"] == name]

    def of_job(self, name: str) -> list[dict[str, Any]]:
        """The details of the events of a training job."""
        told = [detail for kind, detail in self.events if kind == "SageMaker Training Job State Change"]
        return [detail for detail in told if detail["TrainingJobName"] == name]


class Trust:
    """Lets SageMaker assume one role, whose clients are the fake ones.

    Attributes:
        sagemaker: What a role's calls of SageMaker come to.
    """

    def __init__(self, aws: FakeAws) -> None:
        self._aws = aws
        self.sagemaker: Any = None

    def require(self, role_arn: str, *, principal: str, source_arn: str) -> None:
        if role_arn != ROLE:
            raise RoleRefused(f"There is no role {role_arn}.")

    def assume(self, role_arn: str, session: str, *, principal: str, source_arn: str, seconds: float) -> Assumed:
        self.require(role_arn, principal=principal, source_arn=source_arn)
        credentials = {"AWS_ACCESS_KEY_ID": f"key of {principal} for {source_arn} for {seconds:g} s"}
        return Assumed(credentials, self._aws, self.sagemaker)
