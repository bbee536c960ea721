"""The ports on AWS: a SageMaker endpoint, CloudWatch metrics, a DynamoDB table, the model registry and an SNS topic.

rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
rollout.status().live.shares()  # {"v-3f2a...": 90.0, "v-77c1...": 10.0}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs] - AWS ships none
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from rollout.controller import Controller
from rollout.decision import Seen
from rollout.judge import Counts, Window
from rollout.ports import Approval, Busy, Conflict, Live, RolloutError, Status, Unreachable, Variant
from rollout.state import Event, RolloutState

Clients = Callable[[str], Any]
"""Gives the boto3 client of a service by its name."""

_READY = frozenset({"InService"})
_FAILED = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
_AWS_DOWN = 500
_PACKAGE_WHY, _SUBJECT = 1024, 100  # SageMaker's and SNS's longest texts
_METRICS = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def clients(region: str | None = None, session: Any = None) -> Clients:
    """Make clients on first use, with bounded retries and short time-outs: a step ends within a Lambda's time."""
    source: Any = session or boto3.Session(region_name=region)
    settings = Config(
        retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=3, read_timeout=15, region_name=region
    )

    @lru_cache
    def client(service: str) -> Any:
        return source.client(service, config=settings)

    return client


def controller(
    endpoint: str, table: str, region: str | None = None, session: Any = None, *, topic: str | None = None
) -> Controller:
    """A controller for a SageMaker endpoint.

    Args:
        endpoint: The endpoint's name.
        table: The journal's DynamoDB table.
        region: The AWS region; None takes the session's.
        session: A boto3 session; None makes one from the environment.
        topic: The ARN of the topic for notifications. Without it, events wait in the journal for a controller with one.
    """
    return controller_with(clients(region, session), endpoint, table, topic=topic)


def controller_with(make: Clients, endpoint: str, table: str, *, topic: str | None = None) -> Controller:
    """A controller over clients that exist already; see `controller`."""
    return Controller(
        traffic=SageMakerTraffic(make, endpoint),
        signals=CloudWatchSignals(make, endpoint),
        journal=DynamoJournal(make, table, endpoint),
        registry=SageMakerRegistry(make),
        clock=SystemClock(),
        notify=SnsNotify(make, topic, endpoint),
    )


@contextmanager
def _aws(doing: str) -> Generator[None]:
    """Turn what AWS raises into what a rollout understands."""
    try:
        yield
    except ClientError as error:
        answer: Mapping[str, Any] = cast(Any, error).response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _THROTTLED:
            raise Busy(f"{doing}: throttled: {error}") from error
        if status >= _AWS_DOWN:
            raise Unreachable(f"{doing}: {error}") from error
        raise RolloutError(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise Unreachable(f"{doing}: {error}") from error


def _code(error: BaseException | None) -> str:
    return str(cast(Any, error).response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@dataclass(frozen=True)
class SageMakerTraffic:
    """`Traffic` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def read(self) -> Live:
        """What DescribeEndpoint says. (Its config's name may already be the new one while `changing`.)"""
        with _aws(f"describe endpoint {self.endpoint}"):
            answer = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        status = str(answer["EndpointStatus"])
        kind: Status = "ready" if status in _READY else "failed" if status in _FAILED else "changing"
        variants = {item["VariantName"]: _variant(item) for item in answer.get("ProductionVariants", [])}
        failure = _said(answer.get("FailureReason", ""))
        return Live(kind, answer["EndpointConfigName"], variants, f"{status}: {failure}" if failure else status)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """UpdateEndpointWeightsAndCapacities; a 0 is sent as a 0."""
        wanted = [{"VariantName": name, "DesiredWeight": float(weight)} for name, weight in weights.items()]
        with self._changing(f"set weights {dict(weights)} of endpoint {self.endpoint}"):
            self.clients("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=self.endpoint, DesiredWeightsAndCapacities=wanted
            )

    def use_config(self, name: str) -> None:
        """UpdateEndpoint; the weights are those of the config."""
        with self._changing(f"move endpoint {self.endpoint} to config {name}"):
            self.clients("sagemaker").update_endpoint(EndpointName=self.endpoint, EndpointConfigName=name)

    @contextmanager
    def _changing(self, doing: str) -> Generator[None]:
        """While an endpoint is Updating, AWS refuses changes with a ValidationException: that is no mistake of ours."""
        try:
            with _aws(doing):
                yield
        except RolloutError as error:
            if _code(error.__cause__) in {"ValidationException", "ResourceInUse"} and self.read().status == "changing":
                raise Busy(str(error)) from error
            raise


def _said(failure: str) -> str:
    """A FailureReason in one line: what SageMaker says and, where the container's output follows, its last line."""
    lines = [line for line in (_one_line(part) for part in failure.splitlines()) if line]
    return " ".join([lines[0], *lines[1:][-1:]]) if lines else ""


def _variant(item: Mapping[str, Any]) -> Variant:
    current = float(item.get("CurrentWeight", 0.0))
    instances = int(item.get("CurrentInstanceCount", 1 if "CurrentServerlessConfig" in item else 0))
    return Variant(current, float(item.get("DesiredWeight", current)), instances)


@dataclass(frozen=True)
class CloudWatchSignals:
    """`Signals` from the `AWS/SageMaker` metrics of an endpoint's variants.

    An error is an answer 4XX or 5XX of the variant: a client's own mistakes meet both variants alike, and a challenger
    that refuses what the champion takes is worse.
    """

    clients: Clients
    endpoint: str

    def read(self, champion: str, challenger: str, start: float, end: float, window_seconds: int) -> Seen:
        """The windows between two times, on CloudWatch's grid; a window without a data point had no requests."""
        first = -(-int(start) // window_seconds) * window_seconds
        last = int(end) // window_seconds * window_seconds
        if last <= first:
            return Seen(())
        try:
            with _aws(f"read metrics of endpoint {self.endpoint}"):
                found = self._fetch((champion, challenger), (first, last), window_seconds)
        except RolloutError as error:
            return Seen.unknown(str(error))
        windows = (
            Window(at, window_seconds, _counts(found, champion, at), _counts(found, challenger, at))
            for at in range(first, last, window_seconds)
        )
        return Seen(tuple(windows))

    def _fetch(
        self, variants: tuple[str, str], span: tuple[int, int], window_seconds: int
    ) -> dict[tuple[str, str, int], float]:
        """Variant, metric and epoch second -> sum."""
        asked = {f"q{n}": (variant, metric) for n, (variant, metric) in enumerate(_pairs(variants))}
        queries = [
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SageMaker",
                        "MetricName": metric,
                        "Dimensions": [
                            {"Name": "EndpointName", "Value": self.endpoint},
                            {"Name": "VariantName", "Value": variant},
                        ],
                    },
                    "Period": window_seconds,
                    "Stat": "Sum",
                },
            }
            for key, (variant, metric) in asked.items()
        ]
        found: dict[tuple[str, str, int], float] = {}
        times = {"StartTime": datetime.fromtimestamp(span[0], UTC), "EndTime": datetime.fromtimestamp(span[1], UTC)}
        more: dict[str, str] = {}
        while True:
            answer = self.clients("cloudwatch").get_metric_data(
                MetricDataQueries=queries, ScanBy="TimestampAscending", **times, **more
            )
            unfinished = {"PartialData"} if answer.get("NextToken") else set[str]()
            for result in answer["MetricDataResults"]:
                if result.get("StatusCode", "Complete") not in {"Complete", *unfinished}:
                    raise Unreachable(f"metric {asked[result['Id']]}: CloudWatch says {result['StatusCode']}")
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    found[(*asked[result["Id"]], int(at.timestamp()))] = float(value)
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}


def _pairs(variants: tuple[str, str]) -> list[tuple[str, str]]:
    return [(variant, metric) for variant in variants for metric in _METRICS]


def _counts(found: Mapping[tuple[str, str, int], float], variant: str, at: int) -> Counts:
    requests, refused, failed = (int(found.get((variant, metric, at), 0)) for metric in _METRICS)
    return Counts(requests, min(requests, refused + failed))


@dataclass(frozen=True)
class DynamoJournal:
    """`Journal` in a DynamoDB table with the hash key `endpoint`, one item an endpoint."""

    clients: Clients
    table: str
    endpoint: str

    def read(self) -> RolloutState:
        """The state, by a consistent read; an empty one when there is no item, or no table yet."""
        try:
            with _aws(f"read journal {self.table}"):
                answer = self.clients("dynamodb").get_item(
                    TableName=self.table, Key={"endpoint": {"S": self.endpoint}}, ConsistentRead=True
                )
        except RolloutError as error:
            if _code(error.__cause__) == "ResourceNotFoundException":
                return RolloutState(self.endpoint)
            raise
        item = answer.get("Item")
        return RolloutState.from_json(item["state"]["S"]) if item else RolloutState(self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        """Put the successor of the revision that was read, on the condition that it is still there."""
        after = state.written()
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(endpoint)"}
        if state.revision:
            seen = {":seen": {"N": str(state.revision)}}
            condition = {"ConditionExpression": "revision = :seen", "ExpressionAttributeValues": seen}
        item = {
            "endpoint": {"S": self.endpoint},
            "revision": {"N": str(after.revision)},
            "rollout_id": {"S": after.rollout_id},
            "phase": {"S": after.phase.value},
            "state": {"S": after.to_json()},
        }
        try:
            with _aws(f"write journal {self.table}"):
                self.clients("dynamodb").put_item(TableName=self.table, Item=item, **condition)
        except RolloutError as error:
            if _code(error.__cause__) == "ConditionalCheckFailedException":
                raise Conflict(f"journal {self.table} moved on from revision {state.revision}") from error
            if _code(error.__cause__) == "ProvisionedThroughputExceededException":
                raise Unreachable(str(error)) from error
            raise
        return after


@dataclass(frozen=True)
class SageMakerRegistry:
    """`Registry` over SageMaker's model packages."""

    clients: Clients

    def approval(self, package: str) -> Approval:
        """DescribeModelPackage's ModelApprovalStatus."""
        with _aws(f"describe model package {package}"):
            answer = self.clients("sagemaker").describe_model_package(ModelPackageName=package)
        return answer.get("ModelApprovalStatus", "PendingManualApproval")

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """UpdateModelPackage with the reason as its description."""
        with _aws(f"set model package {package} to {approval}"):
            self.clients("sagemaker").update_model_package(
                ModelPackageArn=package, ModelApprovalStatus=approval, ApprovalDescription=_one_line(why)[:_PACKAGE_WHY]
            )


def _one_line(text: str) -> str:
    """SageMaker takes descriptions of one line, and what a container said last has many."""
    return " ".join(text.split())


@dataclass(frozen=True)
class SnsNotify:
    """`Notify` by an SNS topic."""

    clients: Clients
    topic: str | None
    endpoint: str

    def send(self, event: Event) -> None:
        """Publish one event as lines that a person can read."""
        if not self.topic:
            raise Unreachable("no topic to send events to")
        when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds")
        weights = ", ".join(f"{name} {weight}%" for name, weight in event.weights.items())
        lines = [event.text, "", f"endpoint {self.endpoint}", f"rollout  {event.rollout_id}", f"weights  {weights}"]
        subject = f"{self.endpoint}: {event.kind.replace('_', ' ')}"
        with _aws(f"publish to {self.topic}"):
            self.clients("sns").publish(
                TopicArn=self.topic,
                Subject=subject.encode("ascii", "replace").decode()[:_SUBJECT],
                Message="\n".join([*lines, f"time     {when}"]),
            )
