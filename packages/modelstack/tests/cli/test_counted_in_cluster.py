"""What `status` tells of an objective in a cluster is the sum of what the rules there record."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from modelstack.cli.platform.facts import ServedView, Spent
from modelstack.cli.platform.kubernetes.counted import served, spent
from modelstack.cli.view.render import served as served_table
from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes import objective_rules
from modelstack.platforms.kubernetes.metrics import CLASS, EDGE
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.rule import Watched
from tests.cli.played import printed
from tests.platforms.kubernetes.scrapes import START, Envoy, Tsdb, every, played

OBJECTIVE = Objective(availability=0.99, latency=0.95, latency_ms=1000, window_seconds=21_600, min_requests=20)
WATCHED = Watched(
    "models", "e", {"v-a": ("service/models/w-a/8080/http",)},
    every_seconds=10, period_seconds=60, max_5xx_rate=0.05, max_p99_ms=80, nats=8.0,
)  # fmt: skip


class Recorded:
    """A Prometheus that has only what the rules record: 1,000 of each."""

    def __init__(self) -> None:
        group = objective_rules.group(WATCHED, OBJECTIVE, every=10, nats=10)
        self.names = {rule["record"] for rule in group["rules"] if "record" in rule}

    def groups(self, name: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [{"name": name, "interval": "10"}]

    def values(self, query: str, at: float) -> list[tuple[dict[str, str], float]]:
        (asked,) = set(re.findall(r"modelstack:\w+:rise\w*", query))
        return [({}, 1000.0)] if asked in self.names else []


def test_the_requests_of_an_objective_are_those_that_its_rules_count() -> None:
    assert spent(cast(Prometheus, Recorded()), "models", "e", OBJECTIVE, 0.0) == Spent(1000, 1000, 1000)


class Buckets:
    """A Prometheus in which 100 requests of a day were answered: half within 10 ms, 90 within 25 ms, all within 50."""

    def values(self, query: str, at: float) -> list[tuple[dict[str, str], float]]:
        if "histogram" not in query and "bucket" not in query:
            return [({CLASS: "2"}, 99.0), ({CLASS: "5"}, 1.0)]
        return [({EDGE: edge}, count) for edge, count in (("10", 50.0), ("25", 90.0), ("50", 100.0), ("+Inf", 100.0))]


def test_a_table_tells_the_quantiles_that_the_graphs_of_prometheus_draw() -> None:
    """Source of the numbers: PromQL's `histogram_quantile`, which interpolates within a bucket."""
    end = datetime(2026, 3, 2, tzinfo=UTC)
    (told,) = served(cast(Prometheus, Buckets()), {"v-a": ("a",)}, end - timedelta(days=1), end)
    assert told == ServedView("v-a", 100, 1, 0, {"p50": 10.0, "p90": 25.0, "p99": 47.5})


def test_requests_that_no_pod_answered_or_that_timed_out_count_against_the_availability() -> None:
    tsdb = Tsdb()
    envoy = Envoy(tsdb)
    played(envoy, {3: lambda: envoy.answer("a", "2", 60), 8: lambda: envoy.lose("a", 40)}, every(5, -58, 90))
    start = datetime.fromtimestamp(START, UTC)
    (found,) = served(Prometheus(tsdb.client()), {"v-a": ("a",)}, start, start + timedelta(minutes=1))
    assert (found.requests, found.failed, found.unanswered, found.availability) == (100, 40, 40, 0.6)
    assert "40 (40 unanswered)" in printed(served_table((found,)), width=120)
