"""A local SageMaker in the test's own process (with short durations), and a real cloud that hosts it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.images import Images
from localcloud.sagemaker.processes import SERVER_MARK, marked
from localcloud.sagemaker.service import SageMaker
from localcloud.sagemaker.timing import Timing
from localcloud.server.platform import ImageCommand, Platform, SystemClock
from localcloud.testing import MODEL_SERVER

from .asked import (
    ACCOUNT,
    REGION,
    ROLE,
    TRAINER,
    container,
    job_of,
    make_archive,
    make_tar,
    pipeline_of,
    processing_of,
    token,
    variant_of,
)
from .fakes import Bus, FakeAws, Metrics, Trust
from .stage import Stage, set_up

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
        self.roles = Trust(self.aws)
        self.platform = Platform(
            state=folder / "state",
            run=folder / "run",
            region=REGION,
            account=ACCOUNT,
            endpoint_url="http://127.0.0.1:1",
            clock=SystemClock(),
            aws=self.aws,
            deliveries=self.bus,
            images=(
                ImageCommand(
                    *("*-serving", (sys.executable, str(MODEL_SERVER)), MODEL_SERVER.parent),
                    train=(sys.executable, str(TRAINER)),
                    path=(str(Path(sys.executable).parent),),
                ),
            ),
            metrics=self.metrics,
            roles=self.roles,
        )
        self.timing = timing
        self.called: list[str] = []
        self.service = SageMaker(self.platform, timing)
        self._holds = folder / "holds"

    def hold(self) -> Hold:
        """Something for a model to wait for: `{"until": hold.until}` in a request, or with `start="held"`."""
        return Hold(self._holds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[InProcess]:
        """Started, and stopped at the end; may be entered again, like a server on the same state."""
        self.service = SageMaker(self.platform, self.timing)
        self.roles.sagemaker = self._as_role(asyncio.get_running_loop())
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

    def _as_role(self, loop: asyncio.AbstractEventLoop) -> Callable[[str, Any], dict[str, Any]]:
        def call(operation: str, request: Any) -> dict[str, Any]:
            self.called.append(operation)
            try:
                return asyncio.run_coroutine_threadsafe(self.call(operation, **request), loop).result()
            except Failure as failed:
                error = {"Code": failed.code, "Message": failed.message}
                raise ClientError({"Error": error, "ResponseMetadata": {}}, operation) from failed

        return call

    async def execute(self, *steps: dict[str, Any], parameters: Any = (), **start: Any) -> str:
        """Make a pipeline of steps and begin an execution of it; answers its ARN."""
        await self.call("CreatePipeline", **pipeline_of("flow", *steps, parameters=parameters))
        return await self.start("flow", **start)

    async def start(self, pipeline: str, **start: Any) -> str:
        """Begin an execution of a pipeline; answers its ARN."""
        started = await self.call("StartPipelineExecution", PipelineName=pipeline, **{**token(), **start})
        return started["PipelineExecutionArn"]

    async def executed(self, arn: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The execution's description when it is over, and its steps by name."""
        while True:
            described = await self.call("DescribePipelineExecution", PipelineExecutionArn=arn)
            if described["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
                return described, await self.steps(arn)
            await asyncio.sleep(0.01)

    async def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps of an execution by name, the first first."""
        asked = {"PipelineExecutionArn": arn, "SortOrder": "Ascending", "MaxResults": 100}
        listed = await self.call("ListPipelineExecutionSteps", **asked)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

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

    async def process(self, name: str, inputs: tuple[str, ...] = (), **wishes: str) -> None:
        """Start a processing job of trained_model.py."""
        await self.call("CreateProcessingJob", **processing_of(name, inputs, **wishes))

    async def processed(self, name: str) -> dict[str, Any]:
        """The processing job's description when it is over."""
        while True:
            described = await self.call("DescribeProcessingJob", ProcessingJobName=name)
            if described["ProcessingJobStatus"] not in {"InProgress", "Stopping"}:
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
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Docker engine answers, whatever this machine has."""

    async def answers(_: Images) -> bool:
        return False

    monkeypatch.setattr(Images, "engine_answers", answers)


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


@pytest.fixture(scope="session")
def _staged(cloud: Any) -> Any:
    set_up(cloud)
    return cloud


@pytest.fixture
def stage(_staged: Any) -> Stage:
    """The shared real cloud, running."""
    return Stage(_staged, "stage-models")


@pytest.fixture
def own_stage(new_cloud: Callable[..., Any]) -> Stage:
    """A real cloud of the test's own, running, for tests that kill it."""
    cloud = new_cloud()
    cloud.start()
    set_up(cloud)
    return Stage(cloud, "stage-models")
