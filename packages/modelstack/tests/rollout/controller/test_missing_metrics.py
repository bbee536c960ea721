"""Metrics that are missing, late or flap while a trial is under way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from modelstack.rollout.controller.ports import Traffic
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.missing_metrics import RESUMES, is_reduction_due, missing_since, segments
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, Reduction, RolloutState
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PERSON, PLAN, challenge, challenged, release, served
from tests.simulator.platform import MemoryJournal, MemoryTraffic, World

TIMEOUT = PLAN.metrics_timeout_seconds
SLOW = replace(PLAN, steps=(Step(10, 30), Step(50, 1000)))
LOST = "Prometheus does not answer"


def share(world: World) -> float:
    return world.live().shares().get("v-b", 0.0)


def follow(world: World, seconds: float) -> RolloutState:
    return world.controller().follow(seconds, poll=1)


def second_step(plan: Plan = PLAN) -> World:
    """A world whose challenger has just begun its second step, at 50%."""
    world = challenged(plan=replace(plan, max_seconds=2200), seconds=0)
    while world.state.step < 1 or world.state.step_started_at is None:
        follow(world, 1)
    assert share(world) == 50
    return world


def reduced() -> World:
    """A world whose challenger went back from 50% to its last proven share, 10%."""
    world = second_step()
    world.metrics_problem = LOST
    follow(world, TIMEOUT + 10)
    return world


def events(world: World, kind: str) -> list[str]:
    return [event.text for event in world.sent if event.kind == kind]


def test_a_share_of_the_first_step_goes_back_to_nothing_when_no_metric_can_be_read_for_two_minutes() -> None:
    world = challenged(seconds=10)
    world.metrics_problem = LOST
    follow(world, TIMEOUT - 5)
    assert share(world) == 10
    state = follow(world, 30)
    assert (share(world), state.phase, state.weights) == (0, Phase.BAKING, {"v-a": 100, "v-b": 0})
    (told,) = events(world, "reduced")
    assert told.startswith("b goes back to 0%: no counted requests of both versions for 120 s")
    assert f"metrics_timeout_minutes); the metrics are unreachable: {LOST}" in told
    assert [record.kind.value for record in world.records if record.what["event"] == "reduced"] == ["incident"]
    assert LOST in world.controller().status().doing
    state = follow(world, 2000)
    assert state.verdict is not None
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "timeout")
    assert "has its last proven share, 0%" in state.verdict.reason.text
    assert LOST in state.verdict.reason.text


def test_a_later_step_goes_back_to_the_share_of_the_step_that_passed() -> None:
    world = reduced()
    assert (share(world), world.state.step, world.state.reduced) == (10, 1, True)


@pytest.mark.slow
def test_windows_that_do_not_come_are_missing_as_much_as_metrics_that_cannot_be_read() -> None:
    world = second_step()
    world.metrics_known_until = world.clock.time()
    follow(world, TIMEOUT)
    assert share(world) == 50
    follow(world, 40)
    assert (share(world), len(events(world, "reduced"))) == (10, 1)


@pytest.mark.slow
def test_when_metrics_come_back_the_step_and_its_bake_begin_again_and_the_trial_ends_as_ever() -> None:
    world = second_step()
    starts = world.state.step_starts
    follow(world, 20)
    world.metrics_problem = LOST
    follow(world, TIMEOUT + 10)
    world.metrics_problem = ""
    back = world.clock.time()
    follow(world, TIMEOUT - 15)
    assert share(world) == 10
    while share(world) < 50:
        follow(world, 1)
        assert world.clock.time() < back + TIMEOUT + 60
    follow(world, 3)
    assert world.state.step_started_at > back + TIMEOUT / 2
    assert world.state.step_starts == starts, "what the step showed before still counts as evidence"
    assert events(world, "weights")[-1] == (
        "b gets 50%: the step begins again, as requests were counted without a gap for 120 s"
    )
    follow(world, 20)
    assert world.controller().status().decision.reason.kind is Kind.BAKING
    assert follow(world, 600).champion == release("b")


@pytest.mark.slow
def test_a_source_that_flaps_moves_the_weights_a_few_times_and_then_the_time_runs_out() -> None:
    world = second_step(SLOW)
    changes, before = 0, world.state.weights
    while world.state.on_trial:
        world.metrics_problem = "" if world.clock.time() // 200 % 2 else LOST
        world.clock.sleep(10)
        world.controller().tick()
        changes += world.state.weights != before
        before = world.state.weights
        assert world.clock.time() < 1_010_000
    follow(world, 20)
    assert len(events(world, "reduced")) == RESUMES + 1
    assert changes == 2 * RESUMES + 2, "a reduction and a resumption each, one more reduction, and the rollback"
    assert "that was so 4 times, so its step does not begin again" in world.state.verdict.reason.text


@pytest.mark.slow
def test_a_source_that_fails_now_and_then_moves_no_weights() -> None:
    world = second_step(SLOW)
    for _ in range(40):
        world.metrics_problem = "" if world.metrics_problem else LOST
        follow(world, 20)
    assert (share(world), events(world, "reduced")) == (50, [])


def test_a_trial_whose_windows_lack_the_counts_of_both_versions_now_and_then_does_not_go_on() -> None:
    world = challenged(seconds=0)
    world.metrics_hidden = lambda start: start // PLAN.window_seconds % 3 == 0
    state = follow(world, 2000)
    assert events(world, "reduced") == [], "no gap is long"
    assert [event.numbers["percent"] for event in world.sent if event.kind == "weights"] == [10]
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "timeout")
    assert "windows lack the counts of a version" in state.verdict.reason.text


def test_known_windows_without_a_request_are_too_little_traffic_and_no_missing_metrics() -> None:
    world = challenged(seconds=10)
    world.requests_per_second = 0
    follow(world, 3 * TIMEOUT)
    assert (share(world), world.state.missing_since) == (10, None)
    assert "too little traffic" in world.controller().status().doing


@pytest.mark.slow
def test_an_unproven_share_of_a_held_trial_goes_back_and_comes_again_only_once_a_person_gives_it_time() -> None:
    world = second_step(replace(PLAN, on_timeout="hold"))
    world.state = replace(world.state, phase=Phase.HELD)
    world.metrics_problem = LOST
    follow(world, 0)
    world.clock.sleep(TIMEOUT + 1)
    follow(world, 0)
    follow(world, 0)
    world.metrics_problem = ""
    world.clock.sleep(10 * TIMEOUT)
    world.controller().tick()
    assert (world.state.phase, share(world)) == (Phase.HELD, 10)
    world.controller().approve(Reason("person", "ada", "go on"))
    follow(world, 10)
    assert share(world) == 50


def test_a_share_that_waits_for_an_approval_is_proven_and_stays_without_metrics() -> None:
    plan = replace(PLAN, steps=(Step(10, 30, approve=True), Step(50, 30)))
    world = challenged(plan=plan, seconds=200)
    assert world.state.phase is Phase.PAUSED
    world.metrics_problem = LOST
    follow(world, 0)
    world.clock.sleep(2 * TIMEOUT)
    world.controller().approve(Reason("person", "ada", "go on"))
    follow(world, 2 * TIMEOUT)
    assert share(world) == 10


@pytest.mark.slow
def test_no_step_begins_again_while_an_alarm_of_the_challenger_fires_that_rolls_nothing_back() -> None:
    world = reduced()
    old = world.state.started_at - 100
    world.metrics_problem, world.firing = "", (VariantAlarm("v-b", Reason("alarm", "v-b-5xx", "fires"), old),)
    follow(world, TIMEOUT + 60)
    assert (share(world), world.state.reduced, world.controller().status().decision.reason.kind) == (
        10,
        True,
        Kind.STILL_FIRING,
    )
    world.firing = ()
    follow(world, 10)
    assert share(world) == 50


def test_alarms_and_people_roll_back_a_reduced_trial() -> None:
    for act in ("person", "alarm"):
        world = reduced()
        reason = PERSON if act == "person" else Reason("alarm", "v-b-5xx", "fires")
        world.controller().roll_back(reason, variant=None if act == "person" else "v-b")
        state = follow(world, 60)
        assert (share(world), state.verdict.reason.source) == (0, act)


@pytest.mark.slow
def test_a_challenger_that_is_worse_at_its_proven_share_is_rolled_back() -> None:
    world = reduced()
    world.metrics_problem, world.error_rates["v-b"] = "", 0.5
    state = follow(world, TIMEOUT - 20)
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "judge")


BAKING = RolloutState(
    "endpoint", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=PLAN, step=1,
    weights={"v-a": 50, "v-b": 50}, step_starts=(0.0, 100.0),
)  # fmt: skip


def windows(*counts: tuple[int | None, int | None]) -> tuple[Window, ...]:
    sides = [[{} if count is None else {"errors": Tally(count)} for count in pair] for pair in counts]
    return tuple(Window(10.0 * at, 10, *pair) for at, pair in enumerate(sides))


@pytest.mark.parametrize(
    ("counts", "known"),
    [((90, 90), True), ((0, 0), True), ((3, None), True), ((None, 3), True), ((90, None), False), ((None, 90), False),
     ((None, None), False)],
)  # fmt: skip
def test_a_version_without_a_data_point_had_no_request_only_if_few_were_to_be_expected(
    counts: tuple[int | None, int | None], known: bool
) -> None:
    given = windows(*[(90, 90)] * 11, *[counts] * 20)
    since = missing_since(PLAN, BAKING, given, 320.0)
    assert since == (None if known else 110.0 + 2 * 10 + 5)
    assert is_reduction_due(PLAN, BAKING, since, 320.0) is not known


def test_nothing_is_missing_where_nothing_is_compared_by_counts() -> None:
    at_once = replace(PLAN, steps=(Step(100, 30),))
    assert missing_since(at_once, replace(BAKING, plan=at_once, step=0), None, 500.0) is None
    assert missing_since(PLAN, replace(BAKING, phase=Phase.PREPARING, step=-1, step_starts=()), None, 500.0) is None


def test_the_windows_of_an_interrupted_step_and_of_the_lower_share_are_kept_apart() -> None:
    state = replace(BAKING, reductions=(Reduction(1, 205.0, 300.0), Reduction(1, 400.0)))
    assert segments(PLAN, state) == [(0.0, 0), (100.0, 1), (195.0, 0), (300.0, 1), (390.0, 0)]
    first = replace(BAKING, step=0, step_starts=(0.0,), reductions=(Reduction(0, 205.0),))
    assert segments(PLAN, first) == [(0.0, 0), (195.0, -1)]
    soon = replace(BAKING, reductions=(Reduction(1, 101.0),))
    assert segments(PLAN, soon) == [(0.0, 0), (100.0, 1), (100.0, 0)]


TICK, WINDOW, TOLERATES = 5, 10, 40
SHORT = Plan(
    steps=(Step(10, 20), Step(30, 20), Step(60, 20)), metrics=(Metric("errors", "rate", 0.1),), min_requests=5,
    window_seconds=WINDOW, max_seconds=900, metrics_timeout_seconds=TOLERATES,
)  # fmt: skip
LATEST = TOLERATES + 3 * WINDOW + SHORT.settle


class _Killed(BaseException):
    """Nothing of the product catches it."""


class AnyOutage(RuleBasedStateMachine):
    """Metrics come and go in any way while controllers tick and are killed; the endpoint does what it accepted."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world = served(seed=seed, requests_per_second=8, change_seconds=1.0)
        self.blind: float | None = None  # since the first whole tick after the last one that could read
        self.raised, self.percent = 0, 0
        challenge(self.world, plan=SHORT, seconds=0)

    @rule(lost=st.booleans(), late=st.booleans())
    def metrics_change(self, lost: bool, late: bool) -> None:
        self.world.metrics_problem = LOST if lost else ""
        if not late:
            self.world.metrics_known_until = None
        elif self.world.metrics_known_until is None:
            self.world.metrics_known_until = self.world.clock.time()

    @rule(count=st.sampled_from([1, 5, 15]))
    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.world.clock.sleep(TICK)
            self.observe(self.world.controller().tick)

    @rule(calls=st.integers(0, 6), after=st.booleans())
    def a_controller_is_killed(self, calls: int, after: bool) -> None:
        world, left = self.world, [calls]

        def dying(call: Any) -> Any:
            left[0] -= 1
            if left[0] < 0 and not after:
                raise _Killed
            answer = call()
            if left[0] < 0:
                raise _Killed
            return answer

        class Journal(MemoryJournal):
            def write(self, state: RolloutState) -> RolloutState:
                return dying(lambda: super(Journal, self).write(state))

        class Endpoint(MemoryTraffic):
            def set_weights(self, weights: Any) -> None:
                dying(lambda: super(Endpoint, self).set_weights(weights))

        traffic: Traffic = Endpoint(world)
        world.clock.sleep(TICK)
        try:
            self.observe(world.controller(journal=Journal(world), traffic=traffic).tick)
        except _Killed:
            self.count_raises()

    def observe(self, tick: Any) -> None:
        known, now = self.world.metrics_known_until, self.world.clock.time()
        late = known is not None and now - known > 3 * WINDOW + SHORT.settle
        can_read = not self.world.metrics_problem and not late
        if can_read:
            self.blind = None
        tick()
        if not can_read and self.blind is None:
            self.blind = now
        self.count_raises()
        state = self.world.state
        if state.on_trial and self.blind is not None and now - self.blind > LATEST + TICK:
            going = self.world.live().shares(desired=True).get("v-b", 0.0)
            assert going <= SHORT.weight(state.step - 1), f"unproven {going}% after {now - self.blind} s without counts"

    def count_raises(self) -> None:
        percent = self.world.state.weights.get("v-b", 0)
        self.raised, self.percent = self.raised + (percent > self.percent), percent

    @invariant()
    def both_shares_are_all_of_the_traffic(self) -> None:
        assert sum(self.world.state.weights.values()) == 100
        shares = self.world.live().shares(desired=True)
        assert sum(shares.values()) == pytest.approx(100)

    @invariant()
    def weights_are_raised_once_a_step_and_a_bounded_number_of_times_again(self) -> None:
        assert self.raised <= len(SHORT.steps) + 1 + RESUMES
        assert len(self.world.state.reductions) <= RESUMES + 1

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        world.metrics_problem, world.metrics_known_until = "", None
        state = world.controller().follow(3000)
        assert (state.at_rest, state.phase) == (True, Phase.IDLE)
        assert state.verdict is not None
        assert state.verdict.outcome == ("rolled_back" if state.champion == release("a") else "promoted")


TestAnyOutage = AnyOutage.TestCase
TestAnyOutage.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestAnyOutage.pytestmark = [pytest.mark.slow]
