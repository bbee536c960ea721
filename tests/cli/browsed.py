"""A console over a simulated endpoint with b on trial, and a client that asks it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cli.console.pages import Pages
from cli.errors import OperatorError
from cli.retrain import Retraining
from cli.target import Target
from cli.view.snapshot import AlarmView
from retraining.record import Candidate, Entry, Record
from tests.cli.played import look
from tests.simulator.platform import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def body(*items: dict[str, Any]) -> str:
    """A dashboard's body of these widgets."""
    return json.dumps({"widgets": list(items)})


def metric(**properties: Any) -> dict[str, Any]:
    """A metric widget."""
    return {"type": "metric", "x": 0, "y": 0, "width": 12, "properties": {"region": "us-east-1", **properties}}


REQUESTS = metric(title="Requests", metrics=[["AWS/SageMaker", "Invocations"]])

ARN = "arn:b"
PACKAGE = {
    "ModelPackageVersion": 3, "ModelPackageArn": ARN, "ModelApprovalStatus": "Rejected",
    "ApprovalDescription": "worse: <b>",
    "CreationTime": datetime(2026, 3, 1, tzinfo=UTC),
    "InferenceSpecification": {
        "Containers": [{"Image": "registry/serving@sha256:1", "ModelDataUrl": "s3://b/model.tar.gz"}]
    },
    "CustomerMetadataProperties": {"recipe": "abc", "package_digest": "sha256:9", "metric.auc": "0.7"},
}  # fmt: skip
RINGS = {
    "AlarmName": "endpoint-v-b-5xx", "StateValue": "ALARM", "StateUpdatedTimestamp": datetime(2026, 3, 1, tzinfo=UTC),
    "StateReason": "0.5 > 0.05", "AlarmDescription": "Severity: page. Fails. Runbook: docs/how-to/runbook.md#5xx",
    "TreatMissingData": "notBreaching", "Dimensions": [{"Name": "EndpointName", "Value": "endpoint"}],
}  # fmt: skip


class Paginator:
    def __init__(self, page: dict[str, Any]) -> None:
        self.page = page

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.page]


CANDIDATE = Candidate("2013-06-16", "b" * 64, "b" * 12, {})
TRAINED = Entry(NOON, "2013-06-16", "candidate", "log-loss <0.55>", release="b" * 12, through="2013-06-16")
RETRAINING = Retraining(Record(accepted=(CANDIDATE,), history=(TRAINED,)), CANDIDATE, CANDIDATE)


class CloudWatch:
    """Answers what the pages ask, or fails."""

    def __init__(self, dashboard: str, problem: str = "") -> None:
        self.dashboard, self.problem = dashboard, problem

    def get_dashboard(self, DashboardName: str) -> dict[str, Any]:
        assert DashboardName == "endpoint"
        if self.problem:
            raise OperatorError(self.problem, "Type something.")
        return {"DashboardBody": self.dashboard}

    def get_paginator(self, operation: str) -> Paginator:
        if operation == "describe_alarms":
            others = {**RINGS, "AlarmName": "endpoint-year-v-b-5xx", "Dimensions": []}
            return Paginator({"MetricAlarms": [RINGS, others]})
        times = [datetime.fromtimestamp(NOON - 60, UTC)]
        curve = {"Id": "q1", "Label": "v-a Invocations", "Timestamps": times, "Values": [42.0]}
        silent = {"Id": "q2", "Label": "v-b Invocations", "Timestamps": [], "Values": []}
        return Paginator({"MetricDataResults": [curve, silent]})

    def describe_alarm_history(self, **_: Any) -> dict[str, Any]:
        changed = {"Timestamp": datetime(2026, 3, 1, tzinfo=UTC), "HistorySummary": "Alarm updated from OK to ALARM"}
        return {"AlarmHistoryItems": [changed]}


@dataclass(frozen=True)
class Browser:
    """Asks the console in this process."""

    console: Starlette

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.console)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)


class SageMaker:
    def list_model_packages(self, **_: Any) -> dict[str, Any]:
        return {"ModelPackageSummaryList": [{"ModelPackageArn": ARN}]}

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"CreationTime": datetime.fromtimestamp(0, UTC)}

    def describe_model_package(self, **_: Any) -> dict[str, Any]:
        return PACKAGE


def pages(world: World, monkeypatch: pytest.MonkeyPatch, *items: dict[str, Any], problem: str = "") -> Pages:
    """The pages of a world, whose dashboard has these widgets."""
    outputs = {"package_group": "models", "dashboard_url": "x/dashboards/endpoint"}
    target = Target("local", "endpoint", "us-east-1", outputs)
    clients = {"cloudwatch": CloudWatch(body(*(items or (REQUESTS,))), problem), "sagemaker": SageMaker()}
    monkeypatch.setattr(Target, "client", lambda self, service: clients[service])
    monkeypatch.setattr("cli.console.pages.journal_state", lambda _: world.state)
    monkeypatch.setattr("cli.console.pages.look", lambda _: RETRAINING)
    ringing = AlarmView("endpoint-v-b-5xx", "ALARM", "0.5 > 0.05")
    return Pages(target, looks=lambda: look(world, ringing), clock=lambda: NOON)
