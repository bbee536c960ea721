"""Whatever happens, in whatever order: events may come twice, late or never, calls may fail, controllers may meet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Guard, Plan, ReplayGate, Step
from modelstack.rollout.core.state import Phase, Replayed
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import fresh, release

NAMES = st.sampled_from("abcd")
ERRORS = (Metric("errors", "rate", 0.05),)
FAST: dict[str, Any] = {
    "metrics": ERRORS, "min_requests": 10, "window_seconds": 5, "max_seconds": 120, "settle_seconds": 0,
}  # fmt: skip
PLANS = st.sampled_from(
    [
        Plan(steps=(Step(20, 5), Step(50, 5)), **FAST),
        Plan(steps=(Step(50, 5, approve=True),), **FAST, on_timeout="hold"),
        Plan(steps=(Step(100, 10),), **FAST),
        Plan(steps=(Step(50, 10, shadow=True), Step(20, 5)), **FAST, replay=ReplayGate()),
        Plan(steps=(Step(100, 10, shadow=True),), **FAST),
    ]
)


class Anything(RuleBasedStateMachine):
    """Every rule is something that a person, an alarm, a schedule or the platform may do at any time."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world = fresh(seed=seed, requests_per_second=40)
        for x in "abcd":
            self.world.configs[f"solo-{x}-large"] = {f"v-{x}": 1.0}
            for y in "abcd":
                if x != y:
                    self.world.configs[f"shadow-{x}{y}"] = {f"v-{x}": 1.0}
                    self.world.shadows[f"shadow-{x}{y}"] = (f"v-{y}", 50)
        self.begun = self.world.clock.time()
        self.attempt(lambda: self.world.controller().release(release("a"), None, Plan(steps=(Step(50, 5),))))

    def attempt(self, call: Any) -> None:
        try:
            call()
        except RolloutError as error:
            assert str(error)

    @rule(name=NAMES, plan=PLANS, stale=st.booleans())
    def release(self, name: str, plan: Plan, stale: bool) -> None:
        champion = self.world.state.champion
        seen = "d" if stale else champion.id if champion else "a"  # by the program, which may be long ago
        pair, shadow = (f"pair-{seen}{name}", f"shadow-{seen}{name}") if seen != name else (None, None)
        at = "solo-d" if stale else champion.config_name if champion else None
        self.attempt(
            lambda: self.world.controller().release(
                release(name), pair, plan, shadow_config=shadow, beside=at, patience=20
            )
        )

    @rule(large=st.booleans(), guard=st.sampled_from([None, Guard("canary", 50, 5, ("alarm",))]))
    def other_instances(self, large: bool, guard: Guard | None) -> None:
        champion = self.world.state.champion
        if champion is not None:
            wanted = replace(champion, config_name=f"solo-{champion.id}" + ("-large" if large else ""))
            moved = Plan(steps=(Step(50, 5),), **FAST, guard=guard)
            self.attempt(lambda: self.world.controller().release(wanted, None, moved, patience=20))

    @rule(name=NAMES, age=st.sampled_from([0.0, 5.0, 500.0]), twice=st.booleans())
    def alarm(self, name: str, age: float, twice: bool) -> None:
        at, reason = self.world.clock.time() - age, Reason("alarm", f"v-{name}-5xx", "fires")
        for _ in range(2 if twice else 1):
            self.attempt(lambda: self.world.controller().roll_back(reason, variant=f"v-{name}", at=at, patience=2))

    @rule()
    def person_rolls_back(self) -> None:
        self.attempt(lambda: self.world.controller().roll_back(Reason("person", "ada", "odd"), patience=2))

    @rule()
    def person_approves(self) -> None:
        self.attempt(lambda: self.world.controller().approve(Reason("person", "ada", "fine")))

    @rule(name=NAMES)
    def person_clears(self, name: str) -> None:
        self.attempt(lambda: self.world.controller().clear_rejection(name))

    @rule(seconds=st.sampled_from([1, 7, 40]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.sleep(seconds)

    @rule(seconds=st.sampled_from([0, 30, 150]))
    def ticks(self, seconds: int) -> None:
        self.attempt(lambda: self.world.controller().follow(seconds))

    @rule(name=NAMES, rate=st.sampled_from([0.0, 0.01, 0.6]))
    def quality_changes(self, name: str, rate: float) -> None:
        self.world.error_rates[f"v-{name}"] = rate

    @rule(name=NAMES, bad=st.booleans(), requests=st.sampled_from([0, 3, 50, 50]))
    def replays_differ(self, name: str, bad: bool, requests: int) -> None:
        self.world.replays[f"v-{name}"] = Replayed(requests, requests if bad else 0, 0, 1.0)

    @rule(problem=st.sampled_from(["", "", "no answer"]))
    def metrics_come_and_go(self, problem: str) -> None:
        self.world.metrics_problem = problem

    @rule(names=st.sets(NAMES, max_size=1))
    def instances_break(self, names: set[str]) -> None:
        self.world.unstartable = {f"v-{name}" for name in names}

    @rule(unwritable=st.booleans(), unsendable=st.booleans())
    def platforms_fail(self, unwritable: bool, unsendable: bool) -> None:
        self.world.unwritable, self.world.unsendable = unwritable, unsendable

    @invariant()
    def no_request_is_lost(self) -> None:
        asked = (self.world.clock.time() - self.begun) * self.world.requests_per_second
        assert abs(sum(self.world.served.values()) - asked) <= 1

    @invariant()
    def nothing_that_serves_may_be_deleted(self) -> None:
        if self.world.state.phase is not Phase.NONE:
            assert self.world.serving in self.world.state.configs()

    @invariant()
    def a_champion_was_approved_and_is_not_rejected(self) -> None:
        state = self.world.state
        if state.phase is Phase.IDLE and state.champion is not None:
            assert state.champion.id not in state.rejected
            if state.verdict is not None and state.verdict.outcome == "promoted":
                assert self.world.approvals[state.champion.version] == "Approved"

    @invariant()
    def a_rejected_package_says_so_in_the_registry(self) -> None:
        state = self.world.state
        last = state.verdict
        if state.phase is Phase.IDLE and last is not None and last.outcome == "rolled_back":
            assert self.world.approvals[f"arn:{last.release}"] == "Rejected"

    @invariant()
    def nobody_has_live_traffic_beyond_a_step_while_the_replay_gate_is_before_it(self) -> None:
        state = self.world.state
        if state.phase is Phase.BAKING and state.gate_ahead and state.challenger is not None and state.plan is not None:
            assert self.world.live().shares().get(state.challenger.variant, 0.0) == 0.0

    @invariant()
    def at_rest_everything_goes_to_the_champion(self) -> None:
        state, live = self.world.state, self.world.live()
        if state.phase is Phase.IDLE and state.champion is not None and live.status == "ready":
            assert live.shares().get(state.champion.variant) == 100.0

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        world.metrics_problem, world.unwritable, world.unsendable, world.unstartable = "", False, False, set()
        state = world.controller().follow(2000)
        assert state.at_rest, state.phase
        assert not state.outbox


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
