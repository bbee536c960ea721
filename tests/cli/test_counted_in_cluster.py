"""What `status` tells of an objective in a cluster is the sum of what the rules there record."""

from __future__ import annotations

import re
from typing import Any, cast

from cli.platform.facts import Spent
from cli.platform.kubernetes.counted import spent
from monitoring.objectives.slo import Objective
from platforms.kubernetes import objective_rules
from platforms.kubernetes.prometheus import Prometheus
from platforms.kubernetes.watched import Watched

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
