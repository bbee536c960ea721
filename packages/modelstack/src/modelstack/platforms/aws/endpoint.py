"""A rollout controller on AWS, and its ports on SageMaker and SNS.

rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
rollout.status().live.shares()  # {"v-3f2a...": 90.0, "v-77c1...": 10.0}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelstack.platforms.aws.alarm_states import CloudWatchAlarms
from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients, calling, clients, count_event
from modelstack.platforms.aws.counters import CloudWatchCounters
from modelstack.platforms.aws.identity import caller_if_told
from modelstack.platforms.aws.invoke import SageMakerInvoke
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.traffic import SageMakerTraffic, one_line
from modelstack.platforms.clock import SystemClock
from modelstack.rollout.controller.commands import PLAIN, Commands
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.notice import notice
from modelstack.rollout.controller.ports import Signals
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.live import Approval
from modelstack.rollout.core.replay import NONE
from modelstack.rollout.core.state import Replayed
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.captures import CaptureFiles
from modelstack.services.replay import Exchange, replay
from modelstack.services.signals import CountedSignals

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
    clock, counters = SystemClock(), CloudWatchCounters(make, endpoint)
    return Controller(
        traffic=SageMakerTraffic(make, endpoint),
        signals=signals or CountedSignals(counters),
        alarms=JudgedAlarms(CloudWatchAlarms(make, endpoint), counters, clock),
        journal=copied_journal(make, table, endpoint, by, copies=copies),
        registry=SageMakerRegistry(make),
        replay=SageMakerReplay(make, endpoint),
        clock=clock,
        notify=SnsNotify(make, topic, endpoint, commands) if topic else None,
    )


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
                ModelPackageArn=package, ModelApprovalStatus=approval, ApprovalDescription=one_line(why)[:_PACKAGE_WHY]
            )


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


@dataclass(frozen=True)
class SageMakerReplay:
    """`Replay` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the newest captured requests; none if the endpoint captures nothing."""

        def latest(unreadable: Counter[str], after: str) -> Iterable[tuple[str, Exchange]]:
            captures = self._captures()
            return captures.latest(champion, requests, unreadable, after) if captures else ()

        invoke = SageMakerInvoke(self.clients, self.endpoint)
        return replay(latest, invoke, champion=champion, challenger=challenger, before=before)

    def _captures(self) -> CaptureFiles | None:
        """The captures by the endpoint's description; None if it captures nothing."""
        with calling(f"describe endpoint {self.endpoint}"):
            described = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        place = urlsplit((described.get("DataCaptureConfig") or {}).get("DestinationS3Uri", ""))
        folder = "".join(f"{part}/" for part in (place.path.strip("/"), self.endpoint) if part)
        return CaptureFiles(S3Blobs(self.clients, place.netloc), folder) if place.netloc else None
