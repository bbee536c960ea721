"""A console over a simulated endpoint with b on trial, and a client that asks it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette

from modelstack.cli.console.pages import Pages
from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.aws.graphs import CloudWatchGraphs
from modelstack.cli.platform.facts import AlarmView
from modelstack.cli.retrain import Retraining
from modelstack.cli.target import Target
from modelstack.cli.view.snapshot import Snapshot
from modelstack.monitoring.retraining.record import Candidate, RetrainingEvent, RetrainingRecord
from modelstack.rollout.core.decision import Decision
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.panels import CurveSpec, Panel, PanelSpec, Query
from modelstack.services.signals import CountedSignals
from tests.cli.played import look
from tests.simulator.platform import MemoryCounters, World

_MORE = re.compile(r"(\d)More")
GAP = range(36, 40)
"""Minutes ago when v-b answered, before a time without any traffic."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def searched(title: str, unit: str, *labels: str, kind: Literal["curves", "events"] = "curves") -> Panel:
    """A panel of searches by variant: a single one has no label."""
    queries = [
        Query(f"SEARCH('{{a,VariantName}} MetricName=\"{label}\"', 'Sum', 60)", label if len(labels) > 1 else "")
        for label in labels
    ]
    return Panel(PanelSpec(title, unit, (CurveSpec(labels[0]),), kind=kind), tuple(queries), unfinished=True)


REQUESTS = searched("Requests", "requests", "Invocations")
PANELS = (
    REQUESTS,
    searched("Model latency", "ms", "p50", "p90", "p99"),
    searched("Accuracy", "share of answers", "Accuracy", "AccuracyLow", "AccuracyHigh"),
    searched("Distance", "distance", *(f"a_feature_with_a_long_name_{number}" for number in range(8))),
    searched("What happened", "events", "Events", kind="events"),
    searched("Of three versions", "requests", "1More"),
    searched("Of five versions", "requests that were answered", "3More", "other3More"),
)

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
FIRES = {
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
TRAINED = RetrainingEvent(NOON, "2013-06-16", "candidate", "log-loss <0.55>", release="b" * 12, through="2013-06-16")
RETRAINING = Retraining(RetrainingRecord(accepted=(CANDIDATE,), history=(TRAINED,)), CANDIDATE, CANDIDATE)


@dataclass(frozen=True)
class Metrics:
    """Of each query a point a minute: of v-a since ever, of v-b for the last 10 minutes and once before.

    A metric whose name says `3More` has curves of three versions that are gone, too.
    """

    now: Callable[[], float]

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        newest = self.now() // 60 * 60 - 60
        for place, query in enumerate(asked["MetricDataQueries"]):
            if not query.get("ReturnData", True):
                continue
            gone = int(found[1]) if (found := _MORE.search(str(query.get("Expression")))) else 0
            older = ((f"v-{number:012x}", range(20)) for number in range(gone))
            for variant, minutes in (("v-a", range(40)), ("v-b", (*range(10), *GAP)), *older):
                label = query.get("Label", "").replace("v-a", "").replace("v-b", "").strip()
                times = [datetime.fromtimestamp(newest - 60 * ago, UTC) for ago in reversed(minutes)]
                values = [40.0 + 10 * place + (variant == "v-b") + at / 100 for at in range(len(minutes))]
                whole = {"Id": query["Id"], "Label": f"{label} {variant}".strip(), "Timestamps": times}
                yield {"MetricDataResults": [{**whole, "Values": values}]}


class CloudWatch:
    def __init__(self, now: Callable[[], float], problem: str = "") -> None:
        self.now, self.problem = now, problem

    def get_paginator(self, operation: str) -> Paginator | Metrics:
        if self.problem:
            raise OperatorError(self.problem, "Type something.", 3)
        if operation == "describe_alarms":
            others = {**FIRES, "AlarmName": "endpoint-year-v-b-5xx", "Dimensions": []}
            return Paginator({"MetricAlarms": [FIRES, others]})
        return Metrics(self.now)

    def describe_alarm_history(self, **_: Any) -> dict[str, Any]:
        changed = {"Timestamp": datetime(2026, 3, 1, tzinfo=UTC), "HistorySummary": "Alarm updated from OK to ALARM"}
        return {"AlarmHistoryItems": [changed]}


@dataclass(frozen=True)
class Browser:
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


class Looks:
    def __init__(self, world: World) -> None:
        self.world, self.signals = world, CountedSignals(MemoryCounters(world))
        self.state: RolloutState = world.state
        self.decision: Decision | None = None

    def __call__(self) -> Snapshot:
        self.state, self.decision = self.world.state, self.world.controller().status().decision
        return look(self.world, AlarmView("endpoint-v-b-5xx", "ALARM", "0.5 > 0.05"))


@dataclass(frozen=True)
class Graphs(CloudWatchGraphs):
    shown: tuple[Panel, ...] = (REQUESTS,)

    def panels(self, interval: int) -> list[Panel]:
        return list(self.shown)


def pages(world: World, monkeypatch: pytest.MonkeyPatch, *panels: Panel, problem: str = "") -> Pages:
    target = Target("local", "endpoint", "us-east-1", {"package_group": "models"})
    clients = {"cloudwatch": CloudWatch(world.clock.time, problem), "sagemaker": SageMaker()}
    monkeypatch.setattr(Target, "client", lambda self, service: clients[service])
    monkeypatch.setattr("modelstack.cli.console.pages.journal_state", lambda _: world.state)
    monkeypatch.setattr("modelstack.cli.console.pages.look", lambda _: RETRAINING)
    return Pages(target, Looks(world), world.clock.time, Graphs(target, panels or (REQUESTS,)))
