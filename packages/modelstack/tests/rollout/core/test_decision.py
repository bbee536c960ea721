from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.decision import TrialObservations, decide
from modelstack.rollout.core.plan import LONGEST, Plan, ReplayGate, Step
from modelstack.rollout.core.state import ON_TRIAL, Phase, Pivot, Reduction, RolloutState
from modelstack.rollout.core.transitions import apply, approve
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import release

ADA = Reason("person", "ada", "looks well")
PLAN = Plan(steps=(Step(10, 30), Step(50, 60)), min_requests=50, window_seconds=10, max_seconds=1000)
BAKING = RolloutState(
    "endpoint", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=PLAN, step=0,
    started_at=0.0, step_starts=(10.0,),
)  # fmt: skip


def windows(count: int, champion: Tally, challenger: Tally, start: float = 10.0) -> TrialObservations:
    return TrialObservations(
        tuple(Window(start + 10 * n, 10, {"errors": champion}, {"errors": challenger}) for n in range(count))
    )


GOOD = windows(20, Tally(450, 4), Tally(50, 0))


def test_a_good_challenger_advances_once_its_bake_is_over() -> None:
    assert decide(PLAN, BAKING, GOOD, 39).action == "hold"
    after = apply(BAKING, decide(PLAN, BAKING, GOOD, 41), 41)
    assert (after.step, after.weights) == (1, {"v-a": 50, "v-b": 50})


def test_all_at_once_is_promoted_after_its_bake_as_nothing_is_left_to_compare_with() -> None:
    at_once, unknown = replace(PLAN, steps=(Step(100, 30),)), TrialObservations.unknown("no answer")
    assert decide(at_once, BAKING, unknown, 39).action == "hold"
    decision = decide(at_once, BAKING, unknown, 41)
    assert (decision.action, decision.reason.kind) == ("promote", Kind.BAKED)


def test_a_step_waits_while_many_of_its_windows_lack_the_counts_of_one_version() -> None:
    def seen(lacking: int) -> TrialObservations:
        windows = [Window(10.0 + 10 * n, 10, {"errors": Tally(450, 4)}, {"errors": Tally(50, 0)}) for n in range(40)]
        return TrialObservations(
            tuple(replace(one, challenger={}) for one in windows[:lacking]) + tuple(windows[lacking:])
        )

    assert decide(PLAN, BAKING, seen(2), 420).action == "advance"
    decision = decide(PLAN, BAKING, seen(3), 420)
    assert (decision.action, decision.reason.kind) == ("hold", Kind.METRICS_LACKING)
    assert decision.reason.text.startswith("3 of the trial's 40 windows lack the counts of a version")
    over = decide(PLAN, BAKING, seen(3), 1020)
    assert over.action == "roll_back"
    assert "3 of the trial's 40 windows lack" in over.reason.text


@pytest.mark.parametrize(
    ("missing", "reductions", "ends"),
    [
        ({3}, (), True),
        ({3, 4, 5, 6}, (), True),  # one incident
        ({3, 4, 5, 6, 20, 21}, (), True),
        ({3, 4, 5, 6, 20, 21, 30}, (), False),
        ({3, 9, 20, 25}, (), False),
        ({*range(1, 40, 2)}, (), False),
        ({36, 37, 38, 39}, (), True),  # not counted yet
        ({3, *range(20, 30)}, (Reduction(0, 220.0, 310.0),), True),  # the gap took the share away
        ({3, 9, 11, 13, *range(20, 30)}, (Reduction(0, 220.0, 310.0),), False),
    ],
)
def test_a_step_waits_while_many_of_its_windows_lack_the_counts_of_both_versions_in_several_gaps(
    missing: set[int], reductions: tuple[Reduction, ...], ends: bool
) -> None:
    windows = [Window(10.0 + 10 * n, 10, {"errors": Tally(450, 4)}, {"errors": Tally(50, 0)}) for n in range(40)]
    lost = (replace(one, champion={}, challenger={}) if n in missing else one for n, one in enumerate(windows))
    state = replace(BAKING, step_starts=(0.0,), reductions=reductions)
    decision = decide(PLAN, state, TrialObservations(tuple(lost)), 420)
    expected = ("advance", Kind.NOT_WORSE) if ends else ("hold", Kind.METRICS_LACKING)
    assert (decision.action, decision.reason.kind) == expected


def test_a_challenger_that_nobody_counts_is_the_one_without_data() -> None:
    without = TrialObservations(tuple(replace(one, challenger={}) for one in GOOD.windows or ()))
    decision = decide(PLAN, BAKING, without, 1020)
    assert decision.action == "roll_back"
    assert "no data of the challenger" in decision.reason.text


def test_a_bad_challenger_is_rolled_back_before_its_bake_is_over() -> None:
    decision = decide(PLAN, BAKING, windows(2, Tally(90, 1), Tally(10, 9)), 31)
    assert decision.action == "roll_back"
    assert decision.reason.numbers["challenger_rate"] == 0.9


def test_a_latency_whose_pivot_is_fixed_waits_for_a_window_and_no_longer_for_the_pivot() -> None:
    latency = Metric("latency_p99", "quantile", 0.5, quantile=0.99)
    plan = replace(PLAN, metrics=(*PLAN.metrics, latency), min_requests=1)

    def told(state: RolloutState) -> str:
        found = decide(plan, state, GOOD, 41)
        assert found.findings is not None and found.reason == found.findings.each[-1].reason
        return found.reason.text

    assert "waits for the champion's quantile to compare with, known after 1000" in told(BAKING)
    fixed = replace(BAKING, pivots={"latency_p99": Pivot(860_000.0, 35.0)})
    assert told(fixed).startswith("not yet known: latency_p99: no data of either version since its pivot was fixed (")


def test_until_a_step_begins_it_is_said_what_it_waits_for() -> None:
    gated = replace(PLAN, replay=ReplayGate())
    after_copies = replace(gated, steps=(Step(50, 30, shadow=True), Step(10, 30)))
    preparing = replace(BAKING, phase=Phase.PREPARING, step=-1, step_starts=())
    asked = replace(BAKING, step=1)
    replay = "captured requests to be replayed to the challenger, before it gets live traffic"
    instances = "waiting for the challenger's instances to start"
    for plan, state, words in (
        (PLAN, preparing, instances),
        (gated, preparing, f"{instances}, and for {replay}"),
        (after_copies, preparing, instances),
        (after_copies, asked, f"waiting for {replay}"),
        (PLAN, asked, "waiting for the endpoint to confirm the weights"),
    ):
        assert decide(plan, replace(state, plan=plan), GOOD, 40).reason.text == words


def test_enough_evidence_with_too_little_traffic_in_the_new_step_holds() -> None:
    second = replace(BAKING, step=1, step_starts=(10.0, 201.0))
    decision = decide(PLAN, second, GOOD, 300)  # all of it was seen in the first step
    assert decision.action == "hold"
    assert "too little traffic" in decision.reason.text


def test_out_of_time_rolls_back_or_holds_as_configured_and_never_promotes() -> None:
    for seen in (GOOD, TrialObservations.unknown("no answer"), TrialObservations(())):
        assert decide(PLAN, BAKING, seen, 1001).action == "roll_back"
        decision = decide(replace(PLAN, on_timeout="hold"), BAKING, seen, 1001)
        assert decision.action == "wait_for_person"
        assert "no verdict within 1000 s" in decision.reason.text


def test_held_for_a_person_it_still_rolls_back_a_challenger_that_turns_bad() -> None:
    held = replace(BAKING, phase=Phase.HELD)
    assert decide(PLAN, held, GOOD, 215).action == "hold"
    assert decide(PLAN, held, windows(2, Tally(90, 1), Tally(10, 9)), 5000).action == "roll_back"


APPROVING = replace(PLAN, steps=tuple(replace(step, approve=True) for step in PLAN.steps))


def test_an_approval_lets_nothing_go_on_that_is_not_known() -> None:
    for step in (0, 1):
        waiting = replace(BAKING, phase=Phase.PAUSED, step=step, step_starts=(10.0, 20.0)[: step + 1], paused_at=400.0)
        assert decide(APPROVING, waiting, GOOD, 500).reason.kind is Kind.AWAITS_APPROVAL
        approved = approve(waiting, ADA, 450.0)
        for seen in (TrialObservations.unknown("CloudWatch says Forbidden"), TrialObservations(())):
            assert decide(APPROVING, approved, seen, 500).action == "hold"
        decision = decide(APPROVING, approved, GOOD, 500)
        assert (decision.action, decision.reason.kind) == (("advance", "promote")[step], Kind.STEP_APPROVED)


def test_an_approved_trial_runs_out_of_time_and_asks_for_no_other_approval() -> None:
    waiting = replace(BAKING, phase=Phase.PAUSED, paused_at=400.0)
    approved = approve(waiting, ADA, 5000.0)  # the wait is not counted
    unreachable = TrialObservations.unknown("CloudWatch says Forbidden")
    assert decide(APPROVING, approved, unreachable, 5599.0).action == "hold"
    decision = decide(APPROVING, approved, unreachable, 5601.0)
    assert (decision.action, decision.reason.kind) == ("roll_back", Kind.NO_VERDICT)


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.HELD])
def test_a_wait_for_a_person_ends_when_the_trial_is_older_than_its_metrics(phase: Phase) -> None:
    waiting = replace(BAKING, phase=phase, paused_at=400.0)
    assert decide(APPROVING, waiting, TrialObservations.unknown("gone"), LONGEST).action == "hold"
    decision = decide(APPROVING, waiting, TrialObservations.unknown("gone"), LONGEST + 1)
    assert (decision.action, decision.reason.numbers["max_seconds"]) == ("roll_back", LONGEST)


def test_a_breach_is_seen_before_the_endpoint_confirmed_the_next_weights() -> None:
    unconfirmed = replace(BAKING, step=1)
    assert decide(PLAN, unconfirmed, GOOD, 215).action == "hold"
    assert decide(PLAN, unconfirmed, windows(2, Tally(90, 1), Tally(10, 9)), 31).action == "roll_back"


counts = st.builds(Tally, st.integers(0, 5000), st.integers(0, 6000))
observations = st.one_of(
    st.integers(1, 60).map(lambda count: windows(count, Tally(5000, 10), Tally(500, 1))),
    st.just(TrialObservations.unknown("no answer")),
    st.lists(st.tuples(counts, counts), max_size=12).map(
        lambda items: TrialObservations(
            tuple(Window(10.0 + 10 * n, 10, {"errors": a}, {"errors": b}) for n, (a, b) in enumerate(items))
        )
    ),
)
plans = st.builds(
    Plan,
    steps=st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True).map(
        lambda weights: tuple(Step(weight, 5) for weight in sorted(weights))
    ),
    min_requests=st.integers(1, 500),
    alpha=st.floats(0.001, 0.4),
    metrics=st.floats(0.001, 0.3).map(lambda margin: (Metric("errors", "rate", margin),)),
    max_seconds=st.floats(60, 2000),
    on_timeout=st.sampled_from(["roll_back", "hold"]),
    window_seconds=st.just(10),
)
states = st.builds(
    RolloutState,
    endpoint=st.just("endpoint"),
    phase=st.sampled_from(list(Phase)),
    champion=st.sampled_from([None, release("a")]),
    challenger=st.sampled_from([None, release("b")]),
    step=st.integers(-1, 5),
    started_at=st.floats(0, 500),
    step_starts=st.lists(st.floats(0, 500), max_size=5).map(lambda items: tuple(sorted(items))),
)


@given(plans, states, observations, st.floats(0, 5000))
def test_every_input_has_a_decision_with_weights_that_sum_to_100_and_never_jump(
    plan: Plan, state: RolloutState, seen: TrialObservations, now: float
) -> None:
    decision = decide(plan, state, seen, now)
    assert decision.reason.text
    assert state.phase in ON_TRIAL or decision.action == "hold"
    before = plan.weight(state.step)
    trial = replace(
        state, plan=plan, champion=release("a"), challenger=release("b"), weights={"v-a": 100 - before, "v-b": before}
    )
    after = apply(trial, decision, now)
    assert sum(after.weights.values()) == 100
    if decision.action in {"hold", "wait_for_person"}:
        assert (after.step, after.weights) == (state.step, trial.weights)
    if decision.action == "reduce":
        assert after.weights["v-b"] < before
    if decision.action == "advance":
        assert after.step == state.step + 1
        assert before < after.weights["v-b"] == plan.weight(after.step) < 100
    if decision.action in {"promote", "roll_back"}:
        assert after.weights["v-b"] == (100 if decision.action == "promote" else 0)


@given(plans, states, observations, st.floats(0, 5000))
def test_nothing_goes_forward_without_bake_time_left_requests_and_evidence(
    plan: Plan, state: RolloutState, seen: TrialObservations, now: float
) -> None:
    decision = decide(plan, state, seen, now)
    if decision.action not in {"advance", "promote"}:
        return
    began = state.step_started_at
    assert state.phase is Phase.BAKING
    assert began is not None
    assert now - began >= plan.steps[min(state.step, len(plan.steps) - 1)].bake_seconds
    assert now - state.started_at <= plan.max_seconds
    assert seen.windows is not None
    assert sum(item.challenger["errors"].count for item in seen.windows if item.start >= began) >= plan.min_requests
    numbers = decision.reason.numbers
    assert numbers["evidence_not_worse"] >= numbers["evidence_needed_not_worse"]
    assert (decision.action == "promote") == (state.step >= len(plan.steps) - 1)
