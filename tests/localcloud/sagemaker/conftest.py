"""A local SageMaker in the test's own process (with short durations), and a real cloud that hosts it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tarfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.processes import SERVER_MARK, marked
from localcloud.sagemaker.service import SageMaker
from localcloud.sagemaker.timing import Timing
from localcloud.server.platform import Assumed, Datum, ImageCommand, Platform, RoleRefused, SystemClock

ACCOUNT, REGION = "000000000000", "us-east-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/model-serving:process"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/model-serving"
SERVER = Path(__file__).with_name("served_model.py")
TRAINER = Path(__file__).with_name("trained_model.py")
SHORT = Timing(
    startup=100,
    ping=0.1,
    ping_timeout=20,
    backoff=0.1,
    most_backoff=2,
    invocation=60,
    stop=30,
    shutdown=10,
    capture=0.2,
    logs=0.2,
    retry_save=0.1,
)


def make_archive(name: str, **behaviour: Any) -> bytes:
    """A model archive for served_model.py."""
    return make_tar({"behaviour.json": json.dumps({"name": name, **behaviour}).encode()})


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        return iter(lambda: self.read(size), b"")


@dataclass
class FakeAws:
    """As much of S3, Logs, ECR and CloudWatch as the local SageMaker calls.

    Attributes:
        alarms: State by name.
    """

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    lines: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    alarms: dict[str, str] = field(default_factory=dict)

    def __call__(self, service: str) -> FakeAws:
        return self

    def _check(self, operation: str) -> None:
        if operation in self.refused:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "as the test wants"}}, operation)

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
        assert (source, len(resources)) == ("aws.sagemaker", 1)
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

    def of_job(self, name: str) -> list[dict[str, Any]]:
        """The details of the events of a training job."""
        told = [detail for kind, detail in self.events if kind == "SageMaker Training Job State Change"]
        return [detail for detail in told if detail["TrainingJobName"] == name]


class Trust:
    """Lets SageMaker assume one role, whose clients are the fake ones."""

    def __init__(self, aws: FakeAws) -> None:
        self._aws = aws

    def assume(self, role_arn: str, session: str, *, principal: str, source_arn: str, seconds: float) -> Assumed:
        if role_arn != ROLE:
            raise RoleRefused(f"There is no role {role_arn}.")
        credentials = {"AWS_ACCESS_KEY_ID": f"key of {principal} for {source_arn} for {seconds:g} s"}
        return Assumed(credentials, self._aws)


class Failure(Exception):
    """An error answer."""

    def __init__(self, status: int, document: dict[str, Any], code: str) -> None:
        super().__init__(f"{status} {code}: {document}")
        self.status = status
        self.code = code
        self.document = document
        self.message: str = document.get("message") or document.get("Message", "")


class Hold:
    """A request's answer, or a model's start, that waits for the test.

    Attributes:
        until: The file that the model waits for.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / uuid.uuid4().hex
        self.until = str(self._file)

    async def reached(self) -> None:
        """Wait until a model waits."""
        while not self._file.with_suffix(".waits").exists():
            await asyncio.sleep(0.01)

    def release(self) -> None:
        """Let every model go on that waits for it, and that will."""
        self._file.touch()

    def renew(self) -> None:
        """Hold from now on again."""
        self._file.unlink()


class InProcess:
    """A local SageMaker without a network in front of it, and the few AWS services that it calls."""

    def __init__(self, folder: Path, timing: Timing = SHORT) -> None:
        self.aws = FakeAws()
        self.metrics = Metrics()
        self.bus = Bus()
        self.platform = Platform(
            state=folder / "state",
            run=folder / "run",
            region=REGION,
            account=ACCOUNT,
            endpoint_url="http://127.0.0.1:1",
            clock=SystemClock(),
            aws=self.aws,
            deliveries=self.bus,  # pyright: ignore[reportArgumentType]
            images=(
                ImageCommand(
                    *("*-serving", (sys.executable, str(SERVER)), SERVER.parent),
                    train=(sys.executable, str(TRAINER)),
                ),
            ),
            metrics=self.metrics,
            roles=Trust(self.aws),
        )
        self.timing = timing
        self.service = SageMaker(self.platform, timing)
        self._holds = folder / "holds"

    def hold(self) -> Hold:
        """Something for a model to wait for: `{"until": hold.until}` in a request, or with `start="held"`."""
        return Hold(self._holds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[InProcess]:
        """Started, and stopped at the end; may be entered again, like a server on the same state."""
        self.service = SageMaker(self.platform, self.timing)
        await self.service.start()
        try:
            yield self
        finally:
            await self.service.stop()

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call the control plane."""
        headers = {"x-amz-target": f"SageMaker.{operation}"}
        status, answered, body = await self.service.handle("POST", "/", headers, json.dumps(request).encode(), {})
        document = json.loads(body or b"{}")
        if status != 200:
            raise Failure(status, document, answered["x-amzn-ErrorType"])
        return document

    async def invoke(self, endpoint: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Invoke an endpoint with JSON; header names have underscores for hyphens."""
        sent = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        status, answered, reply = await self.service.handle(
            "POST", f"/endpoints/{endpoint}/invocations", sent, data, {}
        )
        if status != 200:
            raise Failure(status, json.loads(reply), answered["x-amzn-ErrorType"])
        return {"headers": answered, **json.loads(reply)}

    async def model(self, name: str, archive: bytes | None = None, **behaviour: Any) -> None:
        """Create a model whose archive behaves as told."""
        self.aws.objects["models", f"{name}/model.tar.gz"] = archive or make_archive(name, **behaviour)
        await self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container(name))

    async def config(self, name: str, *variants: dict[str, Any], **more: Any) -> None:
        """Create an endpoint configuration."""
        await self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=variants, **more)

    async def endpoint(self, name: str, **weights: float) -> None:
        """Bring up an endpoint with a well-behaved variant for each weight."""
        for variant in weights:
            await self.model(f"{name}-{variant}")
        await self.config(name, *(variant_of(v, f"{name}-{v}", weight) for v, weight in weights.items()))
        await self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=name)
        assert (await self.settled(name))["EndpointStatus"] == "InService"

    async def settled(self, name: str, seconds: float = 200) -> dict[str, Any]:
        """The endpoint's description when nothing is in progress."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = await self.call("DescribeEndpoint", EndpointName=name)
            if described["EndpointStatus"] in {"InService", "Failed", "UpdateRollbackFailed"}:
                return described
            await asyncio.sleep(0.02)
        raise AssertionError(f"endpoint {name} is still {described['EndpointStatus']}")

    async def job(self, name: str, channels: tuple[str, ...] = (), **hyperparameters: str) -> None:
        """Start a training job of trained_model.py."""
        await self.call("CreateTrainingJob", **job_of(name, channels, **hyperparameters))

    async def over(self, name: str) -> dict[str, Any]:
        """The job's description when it is over."""
        while True:
            described = await self.call("DescribeTrainingJob", TrainingJobName=name)
            if described["TrainingJobStatus"] not in {"InProgress", "Stopping"}:
                return described
            await asyncio.sleep(0.02)

    def faster(self, time_scale: float) -> InProcess:
        """The same with documented waits divided by a factor."""
        self.platform = replace(self.platform, time_scale=time_scale)
        return self

    def with_timing(self, **changes: float) -> InProcess:
        """The same with other durations."""
        self.timing = replace(self.timing, **changes)
        return self


def container(name: str) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": f"s3://models/{name}/model.tar.gz", "Environment": {"GREETING": name}}


def variant_of(name: str, model: str, weight: float = 1, **more: Any) -> dict[str, Any]:
    """A production variant."""
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": weight,
        **more,
    }


def job_of(name: str, channels: tuple[str, ...] = (), **hyperparameters: str) -> dict[str, Any]:
    """A request for a training job of trained_model.py, with a channel for each prefix of bucket `data`."""
    sources = {channel: {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{channel}"} for channel in channels}
    inputs = [{"ChannelName": name, "DataSource": {"S3DataSource": source}} for name, source in sources.items()]
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        **({"InputDataConfig": inputs} if inputs else {}),
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "HyperParameters": hyperparameters,
    }


def run(scenario: Any) -> Any:
    """What a scenario answers, within four minutes."""
    return asyncio.run(asyncio.wait_for(scenario, 240))


async def failure(call: Any) -> Any:
    """The error that a call ends with."""
    with pytest.raises(Exception, match=r"\d") as caught:
        await call
    return caught.value


def ours(inside: InProcess) -> list[int]:
    """The serving processes of a local SageMaker."""
    return marked(SERVER_MARK, str(inside.platform.state.resolve()))


async def gone(inside: InProcess, endpoint: str) -> None:
    """Wait until there is no such endpoint."""
    while True:
        listed = await inside.call("ListEndpoints")
        if endpoint not in [summary["EndpointName"] for summary in listed["Endpoints"]]:
            return
        await asyncio.sleep(0.02)


@pytest.fixture
def inside(tmp_path: Path) -> InProcess:
    """A local SageMaker in this process; enter `inside.running()`."""
    return InProcess(tmp_path)


@pytest.fixture
def archive_of() -> Callable[..., bytes]:
    """Makes model archives: `archive_of(name, start="slow", seconds=3)`."""
    return make_archive


@pytest.fixture
def tar_of() -> Callable[[dict[str, bytes]], bytes]:
    """Makes any tar.gz: `tar_of({path: content})`."""
    return make_tar


@pytest.fixture
def variant() -> Callable[..., dict[str, Any]]:
    """Makes production variants: `variant(name, model, weight)`."""
    return variant_of


class Stage:
    """A real cloud with what tests put on it, under names that no other test uses."""

    def __init__(self, cloud: Any, bucket: str) -> None:
        self.cloud = cloud
        self.bucket = bucket
        self.sagemaker = cloud.client("sagemaker")
        self.runtime = cloud.client("sagemaker-runtime")
        self.s3 = cloud.client("s3")
        self.prefix = f"t{uuid.uuid4().hex[:8]}"

    def name(self, name: str) -> str:
        """A name of this stage's own."""
        return f"{self.prefix}-{name}"

    def model(self, name: str, archive: bytes | None = None, **behaviour: Any) -> str:
        """Put an archive and create its model; answers the model's name."""
        model = self.name(name)
        key = f"{model}/model.tar.gz"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=archive or make_archive(name, **behaviour))
        self.sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{self.bucket}/{key}"},
        )
        return model

    def config(self, name: str, weights: dict[str, float], workers: int = 0, **more: Any) -> str:
        """Create a configuration with a new model for each variant; answers its name."""
        config = self.name(name)
        models = {variant: self.model(f"{name}-{variant}", workers=workers) for variant in weights}
        variants = [variant_of(variant, model, weights[variant]) for variant, model in models.items()]
        self.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants, **more)
        return config

    def endpoint(self, name: str, weights: dict[str, float], **more: Any) -> str:
        """Bring up an endpoint; answers its name."""
        endpoint = self.name(name)
        config = self.config(name, weights, **more)
        self.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        assert self.settled(endpoint)["EndpointStatus"] == "InService"
        return endpoint

    def settled(self, endpoint: str, seconds: float = 200) -> dict[str, Any]:
        """The endpoint's description when nothing is in progress."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            if described["EndpointStatus"] in {"InService", "Failed"}:
                return described
            time.sleep(0.05)
        raise AssertionError(f"endpoint {endpoint} is still {described['EndpointStatus']}")

    def role(self, *allowed: dict[str, Any], service: str = "sagemaker", when: dict[str, Any] | None = None) -> str:
        """Make a role with statements that allow, which a service may assume on a condition; answers its ARN."""
        iam, name = self.cloud.client("iam"), self.name("role")
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust |= {"Condition": when} if when else {}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
        if allowed:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=_policy(*allowed))
        return made["Role"]["Arn"]

    def over(self, job: str, seconds: float = 200) -> dict[str, Any]:
        """The training job's description when it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.sagemaker.describe_training_job(TrainingJobName=job)
            if described["TrainingJobStatus"] not in {"InProgress", "Stopping"}:
                return described
            time.sleep(0.05)
        raise AssertionError(f"training job {job} is still {described['SecondaryStatus']}")

    def faults(self, fault: dict[str, Any] | None) -> None:
        """Let something go wrong; None ends all that does."""
        data, method = (None, "DELETE") if fault is None else (json.dumps(fault).encode(), "POST")
        request = urllib.request.Request(f"{self.cloud.url}/_localcloud/faults", data, method=method)
        urllib.request.urlopen(request, timeout=10).close()

    def invoke(self, endpoint: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Invoke with JSON; answers the parsed body."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=json.dumps(body or {}), **more
        )
        return json.loads(answer["Body"].read())


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="session")
def serving_cloud(new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real cloud, not started, whose `*-serving` images run served_model.py, and train trained_model.py."""
    config = tmp_path_factory.mktemp("config") / "localcloud.toml"
    command = json.dumps([sys.executable, str(SERVER), "serve"])
    train = json.dumps([sys.executable, str(TRAINER)])
    images = f'[[image]]\nrepository = "*-serving"\ncommand = {command}\ntrain = {train}\n'
    config.write_text(f"time_scale = 60\n{images}")
    return new_cloud(config)


@pytest.fixture(scope="session")
def _started(serving_cloud: Any) -> Any:
    serving_cloud.start()
    serving_cloud.client("s3").create_bucket(Bucket="stage-models")
    return serving_cloud


@pytest.fixture
def stage(_started: Any) -> Stage:
    """The shared real cloud, running."""
    return Stage(_started, "stage-models")


@pytest.fixture
def own_stage(new_cloud: Callable[..., Any], serving_cloud: Any) -> Stage:
    """A real cloud of the test's own, running, for tests that kill it."""
    cloud = new_cloud(serving_cloud.config)
    cloud.start()
    cloud.client("s3").create_bucket(Bucket="stage-models")
    return Stage(cloud, "stage-models")
