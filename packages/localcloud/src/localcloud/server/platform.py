"""What the local cloud gives to a service that plugs into it, and what it asks of one.

A service is of one region of one account.

A service is made by `create(platform)`, started on the server's event loop, and then answers the requests that the
router sends it. It keeps its state in a file of its own under `platform.state` and calls other services of the same
cloud through `platform.aws`.

Example:
    >>> def create(platform: Platform) -> Service:
    ...     return Registry(platform, database=platform.state / "sagemaker.sqlite3")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from localcloud.server.faults import Faults

Answer = tuple[int, dict[str, str], bytes]
"""Status code, headers, body."""


class Clock(Protocol):
    """The time that the cloud lives in; tests pass one that they move by hand."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of this clock have passed."""
        ...


class SystemClock:
    """The machine's own time."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""
        await asyncio.sleep(max(0.0, seconds))


@dataclass(frozen=True)
class Datum:
    """One observation of a metric.

    Attributes:
        name: Metric name, e.g. `Invocations`.
        dimensions: Dimension name to value; an alarm sees only the data whose dimensions equal its own.
        value: The observation, in `unit`.
        unit: A CloudWatch `StandardUnit`, e.g. `Count` or `Microseconds`.
        timestamp: Seconds since the epoch, by the platform's clock.
    """

    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str
    timestamp: float


@runtime_checkable
class MetricSink(Protocol):
    """Takes observations in process."""

    def put(self, namespace: str, data: Sequence[Datum]) -> None:
        """Record `data` under `namespace` (e.g. `AWS/SageMaker`). Never blocks; call it on the event loop."""
        ...


class NoMetrics:
    """Forgets every observation: the sink of the metrics service itself, and of tests that do not look at metrics."""

    def put(self, namespace: str, data: Sequence[Datum]) -> None:
        """Forget `data`."""


class DeliveryRefused(Exception):
    """A topic, function or bus did not take a message; the text is the service's own error."""


class Deliveries(Protocol):
    """How a service reaches people and programs, as the service principal it is on AWS.

    Every method is awaited on the event loop and raises `DeliveryRefused` when the target is missing or its resource
    policy does not let the principal in.
    """

    async def event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> None:
        """Put an AWS service's own event (e.g. source `aws.cloudwatch`) on the default event bus."""
        ...

    async def publish(self, topic_arn: str, subject: str, message: str, *, principal: str, source_arn: str) -> None:
        """Publish to an SNS topic as `principal` (e.g. `cloudwatch.amazonaws.com`) on behalf of `source_arn`."""
        ...

    async def invoke(self, function_arn: str, event: Mapping[str, Any], *, principal: str, source_arn: str) -> None:
        """Invoke a function asynchronously as `principal`, e.g. `lambda.alarms.cloudwatch.amazonaws.com`."""
        ...


class RoleRefused(Exception):
    """A role that is not there, or does not trust the service that wants to assume it."""


@dataclass(frozen=True)
class Assumed:
    """Temporary credentials of a role.

    Attributes:
        environment: The variables that a program of the role needs: credentials, region, and the cloud's URL.
        client: `client("s3")` is a boto3 client with these credentials; further arguments are boto3's. It blocks: call
            it in a thread.
        sagemaker: `sagemaker("DescribeModel", {"ModelName": "m"})` asks this cloud's SageMaker with these credentials,
            and answers its JSON. It spares the client, whose model of the service takes tens of megabytes. It blocks,
            and raises botocore's ClientError.
    """

    environment: Mapping[str, str]
    client: Callable[..., Any]
    sagemaker: Callable[[str, Mapping[str, Any]], dict[str, Any]]


class Roles(Protocol):
    """How a service acts as a role that was passed to it."""

    def require(self, role_arn: str, *, principal: str, source_arn: str) -> None:
        """Refuse a role that a service principal may not assume on behalf of a resource.

        Raises:
            RoleRefused: There is no such role, or it does not trust the principal.
        """
        ...

    def assume(self, role_arn: str, session: str, *, principal: str, source_arn: str, seconds: float) -> Assumed:
        """Assume a role as a service principal, e.g. `sagemaker.amazonaws.com`.

        Args:
            role_arn: The role.
            session: RoleSessionName.
            principal: That the role's trust policy must name.
            source_arn: The resource on whose behalf, for `aws:SourceArn` in that policy.
            seconds: Until the credentials expire.

        Raises:
            RoleRefused: There is no such role, or it does not trust the principal.
        """
        ...


class NoRoles:
    """Knows no role: for tests that assume none."""

    def require(self, role_arn: str, *, principal: str, source_arn: str) -> None:
        """Refuse."""
        raise RoleRefused(f"{role_arn}: there are no roles")

    def assume(self, role_arn: str, session: str, *, principal: str, source_arn: str, seconds: float) -> Assumed:
        """Refuse."""
        raise RoleRefused(f"{role_arn}: there are no roles")


@dataclass(frozen=True)
class ImageCommand:
    """How an image of a repository runs as a plain process where there is no container engine.

    Attributes:
        repository: Glob over repository names, e.g. `*-serving`.
        command: Program and arguments; the program is an absolute path.
        folder: Working directory.
        environment: Variables to set on top of those of the server.
        train: Program and arguments that train where `command` serves; empty if it cannot train.
        process: Program and arguments of a processing job that names no entry point of its own; may be empty.
        path: Folders in which the entry point of a processing job is looked up before those of the server's own PATH.
    """

    repository: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    train: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Platform:
    """One local cloud, as a service sees it.

    Attributes:
        state: Durable folder of the service's region and account. A service makes its own SQLite file in it.
        run: Folder for what need not survive a restart (unpacked models, sockets); emptied when the server starts.
        region: The region of the service, e.g. `us-east-1`.
        account: The account of the service, 12 digits.
        endpoint_url: The one URL of all services, e.g. `http://127.0.0.1:4566`.
        clock: The time.
        aws: `aws("s3")` is a boto3 client of this very cloud, as root of the account. It blocks: call it in a thread.
        deliveries: Messages to topics, functions and the event bus.
        images: How images run as processes; ask `image_command`.
        child_environment: What every process that a service starts must have in its environment, so that `stop` and
            the next start find it. Do not start children in a session or process group of their own.
        metrics: Where observations go.
        time_scale: What documented waits (baking, termination, time-outs of a deployment) are divided by; 60 makes an
            hour a minute. Processes, probes and timestamps keep the machine's own time.
        faults: What shall go wrong, for tests.
        roles: Assumes roles for programs that a service runs.
    """

    state: Path
    run: Path
    region: str
    account: str
    endpoint_url: str
    clock: Clock
    aws: Callable[[str], Any]
    deliveries: Deliveries
    images: tuple[ImageCommand, ...] = ()
    child_environment: Mapping[str, str] = field(default_factory=dict)
    metrics: MetricSink = field(default_factory=NoMetrics)
    time_scale: float = 1.0
    faults: Faults = field(default_factory=Faults)
    roles: Roles = field(default_factory=NoRoles)

    def image_command(self, repository: str) -> ImageCommand | None:
        """The first entry of the configuration whose glob matches `repository`, or None."""
        return next((image for image in self.images if fnmatchcase(repository, image.repository)), None)


@runtime_checkable
class Service(Protocol):
    """An AWS service of the local cloud."""

    async def start(self) -> None:
        """Open the state and take up what was running. The server already answers other services."""
        ...

    async def stop(self) -> None:
        """End every process and task that this service started; nothing may be lost."""
        ...

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        """Answer one request. Header names are lower case, the path is percent-decoded.

        The caller has been authenticated and authorised. An acknowledged write is durable when this returns.
        """
        ...


@runtime_checkable
class HasPolicies(Protocol):
    """A service whose resources can be opened to other accounts."""

    def policy_of(self, resource_arn: str) -> str:
        """The policy of a resource, as JSON; empty if it has none."""
        ...
