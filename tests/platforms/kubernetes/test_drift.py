from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from monitoring.bulk import DAY
from monitoring.drift.watch import Measured
from platforms.kubernetes.captures import intake
from platforms.kubernetes.database import Database
from platforms.kubernetes.monitors import sweep
from rollout.core.state import Phase, RolloutState
from services.promises import Member, Promises
from tests.monitoring.shelf import REFERENCE, ROWS, START, days, file, moved
from tests.platforms.kubernetes.killed import killed_after
from tests.platforms.kubernetes.labelled import shown
from tests.platforms.kubernetes.postgres import Server
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


def test_rows_that_have_moved_ring_and_the_feature_is_named(world: World) -> None:
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


def test_a_process_that_is_killed_after_any_transaction_leaves_each_row_to_be_counted_once(
    postgres: Server, store: Database
) -> None:
    transactions, finished = 0, False
    while not finished:
        transactions += 1
        world = World(store, f"drift-{next(_names)}")
        world.captured(days(4, 7))
        finished = not killed_after(transactions, postgres.url(), world.drift, "COMMIT")
        world.sweep()
        assert world.seen("capture_rows_total", variant="v-a") == 4 * ROWS
    assert transactions > 5


def test_of_processes_that_sweep_at_once_each_row_is_counted_by_one(postgres: Server, world: World) -> None:
    world.captured(days(8, 7), post=20)
    children: list[int] = []
    for _ in range(3):
        child = os.fork()
        if not child:
            try:
                world.drift(Database.of(postgres.url()))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    world.sweep()
    assert world.seen("capture_rows_total", variant="v-a") == 8 * ROWS
