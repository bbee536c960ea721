"""A rollout controller on AWS, and its ports on SageMaker and SNS.

rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
rollout.status().live.shares()  # {"v-3f2a...": 90.0, "v-77c1...": 10.0}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from platforms.aws.alarm_states import CloudWatchAlarms
from platforms.aws.clients import Clients, calling, clients, count_event
from platforms.aws.counters import CloudWatchCounters
from platforms.aws.identity import caller_if_told
from platforms.aws.journal import copied_journal
from platforms.aws.replay import SageMakerReplay
from platforms.clock import SystemClock
from platforms.s3.errors import code_of
from rollout.controller.commands import PLAIN, Commands
from rollout.controller.controller import Controller
from rollout.controller.notice import notice
from rollout.controller.ports import Signals
from rollout.core.errors import Busy, RolloutError
from rollout.core.event import Event
from rollout.core.live import Approval, Live, Status, Variant
from rollout.core.plan import Guard
from services.alarms import JudgedAlarms
from services.signals import CountedSignals

_READY = frozenset({"InService"})
_FAILED = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
_PACKAGE_WHY = 1024  # SageMaker's longest description


def controller(
    endpoint: str,
    table: str,
    region: str | None = None,
    session: Any = None,
    *,
    topic: str | None = None,
    commands: Commands = PLAIN,
) -> Controller:
    """A controller for a SageMaker endpoint, in the name of the session's credentials.

    Without `topic`, the ARN for notifications, events wait in the journal for a controller with one. `commands` writes
    the stack's commands in notifications.
    """
    by = caller_if_told(clients(region, session, attempts=1, answer_within=3))
    return controller_with(clients(region, session), endpoint, table, by=by, topic=topic, commands=commands)


def controller_with(
    make: Clients,
    endpoint: str,
    table: str,
    *,
    by: str = "",
    topic: str | None = None,
    commands: Commands = PLAIN,
    signals: Signals | None = None,
    copies: str | None = None,
) -> Controller:
    """A controller over existing clients, see `controller` and `copied_journal`.

    `by` is the caller in the audit record, if known.
    """
    counters = CloudWatchCounters(make, endpoint)
    return Controller(
        traffic=SageMakerTraffic(make, endpoint),
        signals=signals or CountedSignals(counters),
        alarms=JudgedAlarms(CloudWatchAlarms(make, endpoint), counters),
        journal=copied_journal(make, table, endpoint, by, copies=copies),
        registry=SageMakerRegistry(make),
        replay=SageMakerReplay(make, endpoint),
        clock=SystemClock(),
        notify=SnsNotify(make, topic, endpoint, commands) if topic else None,
    )


@dataclass(frozen=True)
class SageMakerTraffic:
    """`Traffic` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def read(self) -> Live:
        """DescribeEndpoint. Its config may already be the new one while `changing`."""
        with calling(f"describe endpoint {self.endpoint}"):
            answer = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        return live_of(answer)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """UpdateEndpointWeightsAndCapacities; a 0 is sent as a 0."""
        wanted = [{"VariantName": name, "DesiredWeight": float(weight)} for name, weight in weights.items()]
        self._change(
            f"set weights {dict(weights)} of endpoint {self.endpoint}",
            lambda: self.clients("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=self.endpoint, DesiredWeightsAndCapacities=wanted
            ),
        )

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        """UpdateEndpoint; the weights are those of the config."""
        deployment = {"DeploymentConfig": deployment_config(guard)} if guard else {}
        self._change(
            f"move endpoint {self.endpoint} to config {name}",
            lambda: self.clients("sagemaker").update_endpoint(
                EndpointName=self.endpoint, EndpointConfigName=name, **deployment
            ),
        )

    def _change(self, doing: str, call: Callable[[], object]) -> None:
        """Call, with `Busy` for the ValidationException by which AWS refuses changes while an endpoint is Updating.

        If it is not Updating by now, it may have been a moment ago: the second attempt shows whether the call is a
        mistake.
        """
        for again in (True, False):
            try:
                with calling(doing):
                    call()
                return
            except RolloutError as error:
                if code_of(error.__cause__) not in {"ValidationException", "ResourceInUse"}:
                    raise
                if self.read().status == "changing":
                    raise Busy(f"{doing}: the endpoint is changing, and takes it when it is done") from error
                if not again:
                    raise


def find_live(make: Clients, endpoint: str) -> Live | None:
    """The state of an endpoint; None if it does not exist."""
    try:
        return SageMakerTraffic(make, endpoint).read()
    except RolloutError as error:
        if code_of(error.__cause__) == "ValidationException" and "Could not find endpoint" in str(error):
            return None
        raise


def live_of(answer: Mapping[str, Any]) -> Live:
    """A DescribeEndpoint response as the state of the endpoint."""
    status = str(answer["EndpointStatus"])
    kind: Status = "ready" if status in _READY else "failed" if status in _FAILED else "changing"
    variants = {item["VariantName"]: _variant(item) for item in answer.get("ProductionVariants", [])}
    shadows = {item["VariantName"]: _variant(item) for item in answer.get("ShadowProductionVariants", [])}
    failure = why_failed(answer.get("FailureReason", ""))
    detail = f"{status}: {failure}" if failure else status
    return Live(kind, answer["EndpointConfigName"], variants, detail, shadows, failure)


def deployment_config(guard: Guard) -> dict[str, Any]:
    """A guard as UpdateEndpoint's DeploymentConfig."""
    size = {"Type": "CAPACITY_PERCENT", "Value": guard.percent}
    alarms = [{"AlarmName": name} for name in guard.alarms]
    watched: dict[str, Any] = {"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {}
    if guard.kind == "rolling":
        policy = {
            "MaximumBatchSize": size,
            "WaitIntervalInSeconds": guard.bake_seconds,
            "MaximumExecutionTimeoutInSeconds": guard.max_seconds,
        }
        return {"RollingUpdatePolicy": policy, **watched}
    routing: dict[str, Any] = {"Type": guard.kind.upper(), "WaitIntervalInSeconds": guard.bake_seconds}
    if guard.kind == "canary":
        routing["CanarySize"] = size
    if guard.kind == "linear":
        routing["LinearStepSize"] = size
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": guard.bake_seconds,  # after the last part
        "MaximumExecutionTimeoutInSeconds": guard.max_seconds,
    }
    return {"BlueGreenUpdatePolicy": policy, **watched}


def why_failed(failure: str) -> str:
    """A FailureReason in one line: SageMaker's message and the last line of the container's output."""
    lines = [line for line in (_one_line(part) for part in failure.splitlines()) if line]
    return " ".join([lines[0], *lines[1:][-1:]]) if lines else ""


def _variant(item: Mapping[str, Any]) -> Variant:
    current = float(item.get("CurrentWeight", 0.0))
    instances = int(item.get("CurrentInstanceCount", 1 if "CurrentServerlessConfig" in item else 0))
    return Variant(current, float(item.get("DesiredWeight", current)), instances)


@dataclass(frozen=True)
class SageMakerRegistry:
    """`Registry` over SageMaker's model packages."""

    clients: Clients

    def approval(self, package: str) -> Approval:
        """DescribeModelPackage's ModelApprovalStatus."""
        with calling(f"describe model package {package}"):
            answer = self.clients("sagemaker").describe_model_package(ModelPackageName=package)
        return answer.get("ModelApprovalStatus", "PendingManualApproval")

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """UpdateModelPackage with the reason as its description."""
        with calling(f"set model package {package} to {approval}"):
            self.clients("sagemaker").update_model_package(
                ModelPackageArn=package, ModelApprovalStatus=approval, ApprovalDescription=_one_line(why)[:_PACKAGE_WHY]
            )


def _one_line(text: str) -> str:
    """SageMaker takes descriptions of one line."""
    return " ".join(text.split())


@dataclass(frozen=True)
class SnsNotify:
    """`Notify` by an SNS topic; published events are counted, for dashboards."""

    clients: Clients
    topic: str
    endpoint: str
    commands: Commands = PLAIN

    def send(self, event: Event) -> None:
        """Publish one event: as text to people, as JSON to queues and functions, with attributes to filter by."""
        told = notice(event, self.endpoint, self.commands)
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.attributes.items()}
        with calling(f"publish to {self.topic}"):
            self.clients("sns").publish(
                TopicArn=self.topic,
                Subject=told.subject,
                MessageStructure="json",
                Message=told.by_protocol(),
                MessageAttributes=attributes,
            )
        count_event(self.clients, self.endpoint, event.kind, event.at)
