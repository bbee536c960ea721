from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from modelstack.monitoring.bulk import DAY
from modelstack.monitoring.drift.watch import Measured
from modelstack.platforms.kubernetes.captures import intake
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.monitors import sweep
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.promises import Member, Promises
from tests.monitoring.shelf import REFERENCE, ROWS, START, file, moved
from tests.platforms.kubernetes.labelled import shown
from tests.rollout.worlds import release

pytestmark = pytest.mark.needs("postgresql")
SEALED = json.dumps(REFERENCE.as_dict()).encode()
NOW = START + 400 * DAY
_names = count()


def sealed(_: object, name: str) -> bytes:
    assert name == "reference.json"
    return SEALED


@dataclass
class World:
    database: Database
    endpoint: str
    member: Member = sealed

    @property
    def state(self) -> RolloutState:
        return RolloutState(self.endpoint, phase=Phase.IDLE, champion=release("a"))

    def drift(self, database: Database | None = None) -> Mapping[str, Measured]:
        return sweep(database or self.database, Promises(self.state, self.member), NOW)

    def captured(self, columns: dict[str, Any], post: int = 100) -> None:
        lines = file(columns)
        for start in range(0, len(lines), post):
            intake(self.database, self.endpoint, "v-a", b"\n".join(lines[start : start + post]))

    def sweep(self) -> Any:
        return self.drift()["v-a"]

    def seen(self, name: str, **labels: str) -> float | None:
        return shown(self.database, self.endpoint, name, labels)


@pytest.fixture
def world(store: Database, endpoint: str) -> World:
    return World(store, endpoint)


def test_rows_that_have_moved_fire_and_the_feature_is_named(world: World) -> None:
    world.captured(moved(60))
    world.sweep()
    for labels in ({"variant": "v-a"}, {"feature": "x", "variant": "v-a"}):
        evidence = world.seen("drift_evidence", **labels)
        assert evidence is not None
        assert evidence >= 1
    world.sweep()
    assert world.seen("capture_rows_total", variant="v-a") == 60 * ROWS


def test_a_level_that_nobody_tells_any_more_is_not_shown(world: World) -> None:
    world.captured(moved(60))
    world.sweep()
    age = "UPDATE gauges SET until = now() WHERE endpoint = :e"
    world.database.run("age", age, e=world.endpoint)
    assert world.seen("drift_evidence", variant="v-a") is None
    world.sweep()
    assert world.seen("drift_evidence", variant="v-a") is not None, "a sweep tells it though nothing has come"
