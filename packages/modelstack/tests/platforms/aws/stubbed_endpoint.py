"""An endpoint with release b on trial against a: moto's DynamoDB, S3 and CloudWatch, and a stubbed SageMaker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from modelstack.monitoring.bulk import sealed
from modelstack.monitoring.drift.reference import Reference
from modelstack.platforms.aws.handlers import advance, drift, rollback
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.names import MONITORING
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.journal import CopiedJournal
from modelstack.services.promises import remembered
from modelstack.services.sealed_packages import REFERENCE
from tests.platforms.aws.mocked import clients, documents_table, journal_table, mocked_aws
from tests.platforms.aws.sealing import sealed_release

BUCKET = "artifacts"
TRAINED_ON = Reference(*sealed({"x": np.random.default_rng(1).uniform(0, 4, 1000)})).as_dict()


class Endpoint:
    """A SageMaker client of one endpoint that takes every change at once."""

    def __init__(self) -> None:
        self.config, self.weights = "pair", {"v-a": 90.0, "v-b": 10.0}
        self.calls: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        variants = [
            {"VariantName": name, "CurrentWeight": weight, "DesiredWeight": weight, "CurrentInstanceCount": 1}
            for name, weight in self.weights.items()
        ]
        return {"EndpointStatus": "InService", "EndpointConfigName": self.config, "ProductionVariants": variants}

    def update_endpoint_weights_and_capacities(self, **asked: Any) -> None:
        self.calls.append("weights")
        self.weights |= {item["VariantName"]: item["DesiredWeight"] for item in asked["DesiredWeightsAndCapacities"]}

    def update_endpoint(self, **asked: Any) -> None:
        self.calls.append("config")
        self.config = asked["EndpointConfigName"]
        self.weights = {f"v-{self.config[-1]}": 1.0}

    def describe_model_package(self, **_: Any) -> dict[str, str]:
        return {"ModelApprovalStatus": "PendingManualApproval"} if "approval" not in self.calls else {
            "ModelApprovalStatus": "Rejected"
        }  # fmt: skip

    def update_model_package(self, **_: Any) -> None:
        self.calls.append("approval")


@dataclass(frozen=True)
class Call:
    """Lambda's context of a call with so much time."""

    milliseconds: int = 0

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def release(name: str, content: Any, member: str = REFERENCE) -> Release:
    """A release whose package in the bucket holds one member."""
    return sealed_release(name, clients()("s3"), BUCKET, {member: content})


@contextmanager
def an_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Release b is on trial against a; the handlers' clients are moto's but for SageMaker's."""
    for name in ("ALERTS_TOPIC", MONITORING):
        monkeypatch.delenv(name, raising=False)
    environment = {
        "ENDPOINT_NAME": "endpoint",
        "JOURNAL_TABLE": "rollouts",
        "ARTIFACT_BUCKET": BUCKET,
        "DOCUMENTS_TABLE": "documents",
    }
    with mocked_aws(monkeypatch, **environment) as real:
        fake = Endpoint()
        advance._written.clear()
        for module in (advance, drift, rollback):
            monkeypatch.setattr(module, "_clients", lambda: lambda name: fake if name == "sagemaker" else real(name))
        for module in (advance, rollback):
            monkeypatch.setattr(module, "impatient_clients", lambda: real)
        monkeypatch.setattr(drift, "_member", remembered(drift._read))
        journal_table(real)
        documents_table(real)
        real("s3").create_bucket(Bucket=BUCKET)
        a, b = release("a", TRAINED_ON), release("b", TRAINED_ON)
        plan = Plan(steps=(Step(10, 300),), max_seconds=86_400)
        state = RolloutState(
            "endpoint", rollout_id="000001-b", phase=Phase.BAKING, champion=a, challenger=b, pair_config="pair",
            plan=plan, step=0, weights={"v-a": 90, "v-b": 10}, started_at=datetime.now(UTC).timestamp() - 60,
        )  # fmt: skip
        journal().write(state)
        yield fake


def put_alarm(
    variant: str,
    measure: str = "5xx",
    state: str = "ALARM",
    *,
    period: int = 60,
    part: tuple[str, str] = ("Invocation5XXErrors", "Sum"),
) -> None:
    """An alarm as the stack declares it, in a state."""
    place = [{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": variant}]
    queries: list[Any] = [
        {"Id": key, "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": place},
            "Period": period, "Stat": stat,
        }}
        for key, (metric, stat) in (("part", part), ("whole", ("Invocations", "Sum")))
    ]  # fmt: skip
    name, cloudwatch = f"endpoint-{variant}-{measure}", clients()("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=0.05,
        Metrics=[*queries, {"Id": "rate", "Expression": "part / whole", "ReturnData": True}],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="Threshold Crossed: 0.5 > 0.05")


def journal() -> CopiedJournal:
    return copied_journal(clients(), "rollouts", "endpoint", copies="documents")
