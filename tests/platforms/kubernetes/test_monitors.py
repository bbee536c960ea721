"""What a controller does with captures and labels that have come, on a real PostgreSQL."""

from __future__ import annotations

import threading
import time

import pytest

from platforms.kubernetes import monitors as module
from platforms.kubernetes.database import Database
from platforms.kubernetes.drift import REFERENCE as MEMBER
from platforms.kubernetes.monitors import Monitors, remembered
from rollout.core.errors import Unreachable
from rollout.core.release import Release
from rollout.core.state import RolloutState
from tests.monitoring.shelf import REFERENCE
from tests.platforms.kubernetes.labelled import ROLLOUT, World
from tests.rollout.worlds import release


def test_a_member_is_read_once_and_one_that_could_not_be_read_is_asked_for_again() -> None:
    asked: list[str] = []

    def member(of: Release, name: str) -> bytes | None:
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
            made.members[variant, MEMBER] = REFERENCE.as_dict()
        return made

    def test_what_has_come_is_joined_and_the_journal_is_left_alone_when_nothing_has(self, world: World) -> None:
        asked: list[str] = []

        def state(name: str) -> RolloutState:
            asked.append(name)
            return world.state

        now = 0.0
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
        now = 61.0
        monitors.look([world.endpoint])
        assert asked == [world.endpoint] * 2
        assert world.seen("capture_rows_total", variant="v-a") == 1

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
        thread = threading.Thread(
            target=monitors.follow, args=(lambda: {world.endpoint}, leads.is_set, stopping), daemon=True
        )
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
