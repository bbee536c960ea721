from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from modelstack.monitoring.drift.watch import Measured
from modelstack.platforms.kubernetes import monitors as module
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.monitors import Monitors
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.state import RolloutState
from modelstack.services.measuring import Measuring
from modelstack.services.promises import Promises, remembered
from tests.monitoring.shelf import REFERENCE
from tests.platforms.kubernetes.labelled import DECLARED, FORM, ROLLOUT, World
from tests.rollout.worlds import release


def test_a_member_is_read_once_and_one_that_could_not_be_read_is_asked_for_again() -> None:
    asked: list[str] = []

    def member(of: Any, name: str) -> bytes | None:
        asked.append(of.id)
        if len(asked) == 1:
            raise Unreachable("registry: no answer")
        return None if name == "none" else b"x"

    read = remembered(member)
    with pytest.raises(Unreachable):
        read(release("a"), "answer.json")
    assert [read(release("a"), "answer.json") for _ in range(3)] == [b"x"] * 3
    assert [read(release("a"), "none") for _ in range(2)] == [None, None]
    assert asked == ["a", "a", "a"]
    for number in range(100):
        read(release(str(number)), "answer.json")
    read(release("a"), "answer.json")
    assert asked[-1] == "a", "it remembers only so many"


@pytest.mark.needs("postgresql")
class TestOnPostgres:
    @pytest.fixture
    def world(self, store: Database, endpoint: str) -> World:
        made = World(store, endpoint)
        for variant in ("v-a", "v-b"):
            made.members[variant, "reference.json"] = REFERENCE.as_dict()
        return made

    def test_what_has_come_is_joined_and_the_journal_is_left_alone_when_nothing_has(self, world: World) -> None:
        asked: list[str] = []

        def state(name: str) -> RolloutState:
            asked.append(name)
            return world.state

        now = time.time()
        monitors = Monitors(world.database, world.member, state, now=lambda: now)
        monitors.look([world.endpoint])
        assert asked == []
        world.captured("v-a", ("x", True, 0.5))
        world.labelled(("x", True))
        monitors.look([world.endpoint])
        assert world.pairs("v-a", ROLLOUT) == (1, 1)
        assert asked == [world.endpoint]
        monitors.look([world.endpoint])
        assert asked == [world.endpoint], "nothing waits, and the next sweep is not due"
        now += 61.0
        monitors.look([world.endpoint])
        assert asked == [world.endpoint] * 2
        assert world.seen("capture_rows_total", variant="v-a") == 1

    def test_each_endpoint_is_measured_and_kept_as_its_own_stack_says(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other, wrong = World(world.database, f"{world.endpoint}-other"), f"{world.endpoint}-wrong"
        swept: list[tuple[str, float, float]] = []

        def sweep(_: Database, promises: Promises, __: float, *, false_alarms: float) -> dict[str, Measured]:
            swept.append((promises.state.endpoint, false_alarms, promises.settings.block_seconds))
            return {}

        monkeypatch.setattr(module, "sweep", sweep)
        told = {
            world.endpoint: Measuring(drift_minutes=2, drift_false_alarms=0.3, labels_minutes=1, requests_days=3),
            other.endpoint: Measuring(),
        }

        def measuring(name: str) -> Measuring:
            if name == wrong:
                raise RolloutError("Rollout.spec.monitoring: wrong")
            return told[name]

        for one in (world, other):
            one.captured("v-a", ("x", True, 0.5))
            one.labelled(("nobody", True))
        states = {one.endpoint: one.state for one in (world, other)}
        monitors = Monitors(world.database, world.member, states.__getitem__, measuring)
        monitors.look([world.endpoint, other.endpoint, wrong])
        assert swept == [(world.endpoint, 0.3, 120.0), (other.endpoint, 0.05, 3600.0)]
        world.database.run("age", "UPDATE documents SET since = since - 300 WHERE queue = 'label'")
        monitors.now = lambda: time.time() + 61
        monitors.look([world.endpoint, other.endpoint, wrong])
        assert (world.seen("labels_unknown_total"), other.seen("labels_unknown_total")) == (1, 0)
        kept = "SELECT endpoint, days FROM retention WHERE endpoint LIKE :e ORDER BY 1"
        assert world.database.run("see", kept, e=f"{world.endpoint}%") == [[world.endpoint, 3], [other.endpoint, 30]]
        world.database.run("clear", "DELETE FROM retention")

    def test_pairs_of_a_version_that_has_left_the_journal_are_counted_by_its_registered_package(
        self, world: World
    ) -> None:
        gone = release("gone")
        world.members[gone.variant, FORM] = DECLARED
        world.captured(gone.variant, ("x", True, 0.5))
        world.labelled(("x", True))
        known = {(world.endpoint, gone.variant): gone}
        Monitors(world.database, world.member, lambda _: world.state, find=lambda *of: known.get(of)).look(
            [world.endpoint]
        )
        assert world.pairs(gone.variant) == (1, 1)

    def test_an_endpoint_whose_journal_cannot_be_read_stops_no_other(self, world: World) -> None:
        other = World(world.database, f"{world.endpoint}-other")
        for one in (world, other):
            one.captured("v-a", ("x", True, 0.5))
            one.labelled(("x", True))

        def state(name: str) -> RolloutState:
            if name == world.endpoint:
                raise Unreachable("API server: no answer")
            return other.state

        with pytest.raises(Unreachable, match="API server"):
            Monitors(world.database, world.member, state).look([world.endpoint, other.endpoint])
        assert (world.pairs("v-a", ROLLOUT), other.pairs("v-a", ROLLOUT)) == ((0, 0), (1, 1))

    def test_it_goes_on_until_it_is_told_and_only_while_it_leads(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PAUSE", 0.05)
        world.captured("v-a", ("x", True, 0.5))
        world.labelled(("x", True))
        stopping, leads = threading.Event(), threading.Event()
        monitors = Monitors(world.database, world.member, lambda _: world.state)
        rounds = Rounds(lambda: {world.endpoint}, leads.is_set, stopping)
        thread = threading.Thread(target=monitors.follow, args=(rounds,), daemon=True)
        thread.start()
        time.sleep(0.3)
        assert world.pairs("v-a", ROLLOUT) == (0, 0)
        leads.set()
        end = time.monotonic() + 20
        while world.pairs("v-a", ROLLOUT) != (1, 1) and time.monotonic() < end:
            time.sleep(0.05)
        stopping.set()
        thread.join(10)
        assert not thread.is_alive()
        assert world.pairs("v-a", ROLLOUT) == (1, 1)
