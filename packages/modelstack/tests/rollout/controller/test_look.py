"""When the champion's quantile is taken, by time and number of requests alone; and what a verdict says of instances."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.controller.look import Looker
from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.rollout.worlds import release

P99 = KNOWN["latency_p99"]
NO_COUNTS = TrialObservations(())
PLAN = Plan(steps=(Step(10, 30), Step(50, 60)), metrics=(KNOWN["errors"], P99), max_seconds=100_000)


@dataclass
class World:
    """The clock, and the champion with one request a second of a known latency."""

    now: float = 0.0
    latency: float = 100.0
    requests: int = 1000
    read_from: list[float] = field(default_factory=list[float])
    seen: TrialObservations = NO_COUNTS

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None: ...

    def read(self, ask: SignalQuery) -> TrialObservations:
        return self.seen

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile:
        self.read_from.append(start)
        return Quantile(self.latency, self.requests)


def state(*starts: float) -> RolloutState:
    return RolloutState(
        "endpoint", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=PLAN,
        step=len(starts) - 1, step_starts=starts,
    )  # fmt: skip


def looked(world: World, before: RolloutState, now: float) -> RolloutState:
    world.now = now
    return Looker(world, world).look(before)[1]


def pivots(seen: RolloutState) -> list[tuple[float, float]]:
    newest = seen.pivots.get(P99.name)
    return [(pivot.value, pivot.since) for pivot in newest.chain()] if newest else []


def test_the_first_pivot_is_taken_of_the_hours_before_the_trial() -> None:
    world = World()
    assert pivots(looked(world, state(20_000.0), 20_010)) == [(100, 20_010)]
    assert world.read_from == [20_010 - 3 * 3600]


def test_a_step_has_a_pivot_of_its_own_load_as_soon_as_the_champion_has_enough_requests_in_it() -> None:
    world, first = World(), looked(World(), state(1000.0), 1010)
    second = RolloutState(**{**vars(first), "step": 1, "step_starts": (1000.0, 2000.0)})
    world.requests, world.latency = 999, 50
    assert pivots(looked(world, second, 2060)) == [(100, 1010)]
    world.requests = 1000
    assert pivots(looked(world, second, 2090)) == [(50, 2090), (100, 1010)]
    assert world.read_from == [2000, 2000]


def test_a_pivot_is_taken_again_when_the_step_lasts_twice_as_long_from_later_requests() -> None:
    world, seen = World(), state(1000.0)
    taken = []
    for now in range(1000, 20_000, 60):
        after = looked(world, seen, now)
        if after is not seen and len(pivots(after)) > len(pivots(seen)):
            taken.append(now - 1000)
        seen = after
    assert taken == [0, 600, 1200, 2400, 4800, 9600]
    assert world.read_from[1:] == [1000 + at for at in taken[:-1]]


@given(st.lists(st.floats(1, 1e6), min_size=30, max_size=30))
def test_no_latency_decides_when_a_pivot_is_taken(latencies: list[float]) -> None:
    taken: list[list[float]] = []
    for given_latencies in (latencies, [100.0] * len(latencies)):
        world, seen = World(), state(1000.0)
        for at, latency in enumerate(given_latencies):
            world.latency = latency
            seen = looked(world, seen, 1000 + 60 * at)
        taken.append([since for _, since in pivots(seen)])
    assert taken[0] == taken[1]


@pytest.mark.parametrize(("unanswered", "says"), [(True, "its instances: b lost 2 pods since 1000"), (False, "")])
def test_a_verdict_on_unanswered_requests_says_what_happened_to_the_instances(unanswered: bool, says: str) -> None:
    asked: list[str] = []

    def instances(of: Release, since: float) -> str:
        asked.append(of.id)
        return f"{of.id} lost 2 pods since {since:.0f}"

    world = World(seen=TrialObservations.unknown("3 requests had no answer", unanswered=unanswered))
    looker, plan = Looker(world, world, instances), replace(PLAN, max_seconds=600)
    trial = replace(state(1000.0), plan=plan, started_at=1000.0)
    world.now = 1010
    assert looker.decide(trial) is not None
    assert not asked, "only a verdict reads them"
    world.now = 5000
    over = looker.decide(trial)
    assert over is not None
    assert (over.action, says in over.reason.text, bool(asked)) == ("roll_back", True, unanswered)
