"""What the next effect is, for each trap that users of such systems have reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.effects import MAX_MOVES, Look, Record, Rest, SetApproval, SetWeights, UseConfig, Wait, due
from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.plan import Guard, Plan
from modelstack.rollout.core.state import Phase, Requested, Retiring, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PLAN, release

FIRES = Reason("alarm", "5xx", "too many")


@pytest.fixture
def baking() -> RolloutState:
    return RolloutState(
        "endpoint", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), previous=release("c"),
        pair_config="pair-ab", plan=PLAN, step=0, weights={"v-a": 90, "v-b": 10},
    )  # fmt: skip


def decided(state: RolloutState, phase: Phase, outcome: str = "rolled_back") -> RolloutState:
    verdict = Verdict(outcome, FIRES, "000002-b", "b", "b-recipe", "sha256:b", 0)
    weights = {"v-a": 0, "v-b": 100} if phase is Phase.PROMOTING else {"v-a": 100, "v-b": 0}
    return replace(state, phase=phase, decided=verdict, weights=weights)


def live(
    config: str = "pair-ab",
    now: Mapping[str, float] | None = None,
    going: Mapping[str, float] | None = None,
    *,
    status: str = "ready",
    instances: int = 1,
) -> Live:
    weights = now if now is not None else {"v-a": 1.0, "v-b": 0.0}
    variants = {name: Variant(weight, (going or weights)[name], instances) for name, weight in weights.items()}
    return Live(status, config, variants, status)


def request(state: RolloutState, config: str, before: str = "pair-ab") -> UseConfig:
    return UseConfig(config, replace(state, moves=state.moves + 1, requested=Requested(config, before)))


def test_a_challenger_that_is_not_ready_gets_no_traffic(baking: RolloutState) -> None:
    unready = live(instances=0)
    assert due(replace(baking, phase=Phase.PREPARING, step=-1), unready, {}, 0) == Look()
    assert due(baking, unready, {}, 0) == Look()
    solo = live("solo-a", {"v-a": 1.0})
    assert isinstance(due(replace(baking, phase=Phase.PREPARING), solo, {}, 0), UseConfig)


def test_weights_are_compared_as_shares_because_they_are_relative(baking: RolloutState) -> None:
    assert isinstance(due(baking, live(now={"v-a": 0.9, "v-b": 0.1}), {}, 0), Record)
    assert isinstance(due(baking, live(now={"v-a": 9000, "v-b": 1000}), {}, 0), Record)
    assert due(baking, live(now={"v-a": 1, "v-b": 1}), {}, 0) == SetWeights({"v-a": 90, "v-b": 10})


def test_a_bake_begins_when_the_endpoint_serves_the_weights_not_when_it_was_asked(baking: RolloutState) -> None:
    asked = live(now={"v-a": 1.0, "v-b": 0.0}, going={"v-a": 90, "v-b": 10})
    assert due(baking, asked, {}, 100) == Look()
    served = due(baking, live(now={"v-a": 90, "v-b": 10}), {}, 107)
    assert served.state.step_started_at == 107


def test_weights_that_somebody_else_set_are_put_right(baking: RolloutState) -> None:
    confirmed = replace(baking, step_starts=(5.0,))
    assert due(confirmed, live(now={"v-a": 90, "v-b": 10}), {}, 9) == Look()
    assert due(confirmed, live(now={"v-a": 1, "v-b": 1}), {}, 9) == SetWeights({"v-a": 90, "v-b": 10})


def test_a_rollback_moves_the_traffic_first_even_while_the_endpoint_is_updating(baking: RolloutState) -> None:
    back = decided(baking, Phase.ROLLING_BACK)
    to_fifty = live(now={"v-a": 90, "v-b": 10}, going={"v-a": 50, "v-b": 50}, status="changing")
    assert due(back, to_fifty, {}, 0) == SetWeights({"v-a": 100, "v-b": 0})
    assert due(back, None, {}, 0) == SetWeights({"v-a": 100, "v-b": 0})


def test_a_rollback_goes_traffic_then_approval_then_config_then_record(baking: RolloutState) -> None:
    back = decided(baking, Phase.ROLLING_BACK)
    assert isinstance(due(back, live(now={"v-a": 90, "v-b": 10}), {}, 0), SetWeights)
    emptied = live(now={"v-a": 100, "v-b": 0})
    assert due(back, emptied, {}, 0) == SetApproval("arn:b", "Rejected", FIRES)
    assert due(back, emptied, {"arn:b": "Rejected"}, 0) == request(back, "solo-a")
    moving = live(now={"v-a": 100, "v-b": 0}, status="changing")
    assert isinstance(due(back, moving, {"arn:b": "Rejected"}, 0), Wait)
    done = due(back, live("solo-a", {"v-a": 1.0}), {"arn:b": "Rejected"}, 0)
    assert (done.state.phase, done.state.rejected["b"].reason.name) == (Phase.IDLE, "5xx")


PING = "The primary container for production variant v-{} did not pass the ping health check."


def test_a_rollback_whose_champion_does_not_come_up_alone_ends_on_the_config_that_serves(baking: RolloutState) -> None:
    # The infrastructure tool that recorded success after SageMaker had put back another config, and deleted this one.
    back, emptied = decided(baking, Phase.ROLLING_BACK), live(now={"v-a": 100, "v-b": 0})
    rejected = {"arn:b": "Rejected"}
    for moves in range(MAX_MOVES):
        stuck = replace(back, moves=moves)
        assert due(stuck, emptied, rejected, 0) == request(stuck, "solo-a")
    done = due(replace(back, moves=MAX_MOVES), replace(emptied, failure="no capacity"), rejected, 9).state
    assert (done.phase, done.champion, done.verdict.outcome, set(done.rejected)) == (
        Phase.IDLE, release("a"), "rolled_back", {"b"},
    )  # fmt: skip
    assert {"pair-ab", "solo-a", "solo-b"} <= set(done.configs()), "what serves may not be deleted"
    assert [event.kind for event in done.outbox] == ["rolled_back", "stranded"]
    assert "a new instance of the champion, a, does not come up: no capacity" in done.history[-1].text
    assert due(done, emptied, {}, 10) == Rest()
    assert due(done, live(now={"v-a": 50, "v-b": 50}), {}, 10) == SetWeights({"v-a": 100, "v-b": 0})


def test_a_config_is_asked_for_once_when_the_platform_names_whose_instance_failed(baking: RolloutState) -> None:
    preparing, solo = replace(baking, phase=Phase.PREPARING, step=-1, moves=1), live("solo-a", {"v-a": 1.0})
    for words, ends in ((PING.format("b"), "rolled_back"), (PING.format("a"), "failed")):
        failed = due(preparing, replace(solo, failure=words), {}, 0)
        assert (failed.state.phase, failed.state.decided.outcome) == (Phase.ROLLING_BACK, ends)
    assert isinstance(due(preparing, replace(solo, failure="no capacity"), {}, 0), UseConfig)
    asked = replace(preparing, moves=0)
    assert isinstance(due(asked, replace(solo, failure=PING.format("b")), {}, 0), UseConfig), "an older failure"
    emptied = replace(live(now={"v-a": 100, "v-b": 0}), failure=PING.format("a"))
    down = replace(decided(baking, Phase.ROLLING_BACK, "failed"), moves=1)
    known = replace(down, decided=replace(down.decided, reason=replace(FIRES, kind=Kind.CHAMPION_DOWN)))
    assert due(known, emptied, {"arn:b": "PendingManualApproval"}, 0).state.phase is Phase.IDLE


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING])
def test_a_release_that_has_served_before_is_tried_again_though_its_failure_names_it(
    baking: RolloutState, phase: Phase
) -> None:
    state, settled = replace(decided(baking, phase), moves=1), {"arn:a": "Rejected", "arn:b": "Rejected"}
    if phase is Phase.RESTORING:
        state = replace(state, challenger=None)
    if phase is Phase.PROMOTING:
        settled = {"arn:b": "Approved"}
    there = live(now={"v-a": 0, "v-b": 100} if phase is Phase.PROMOTING else {"v-a": 100, "v-b": 0})
    for name in "abc":
        assert isinstance(due(state, replace(there, failure=PING.format(name)), settled, 0), UseConfig)


def test_where_the_champion_has_no_variant_any_more_and_does_not_come_up_the_challenger_stays(
    baking: RolloutState,
) -> None:
    back = replace(decided(baking, Phase.ROLLING_BACK), moves=MAX_MOVES)
    alone = replace(live("solo-b", {"v-b": 1.0}), failure=PING.format("a"))
    assert isinstance(due(replace(back, moves=0), replace(alone, failure=""), {}, 0), UseConfig), "no rejection first"
    stays = due(back, alone, {}, 7).state
    assert due(stays, alone, {}, 8) == SetApproval("arn:b", "Approved", stays.decided.reason, "b")
    done = due(stays, alone, {"arn:b": "Approved"}, 9).state
    assert (done.phase, done.champion, done.previous) == (Phase.IDLE, release("b"), release("a"))
    assert "b is champion: the previous champion, a, does not come up: The primary" in done.history[-1].text


def test_a_former_champion_that_failed_through_no_fault_of_its_own_stays_approved(baking: RolloutState) -> None:
    again = decided(replace(baking, challenger=release("c")), Phase.ROLLING_BACK, "failed")
    emptied = live("pair-ac", now={"v-a": 100, "v-c": 0})
    assert isinstance(due(again, emptied, {"arn:c": "Approved"}, 0), UseConfig)


def test_a_challenger_gets_no_more_traffic_while_it_is_withheld(baking: RolloutState) -> None:
    why, empty = Reason("alarm", "5xx", "fires"), live(now={"v-a": 1.0, "v-b": 0.0})
    assert due(baking, empty, {}, 0, why) == Look()
    assert due(decided(baking, Phase.PROMOTING), empty, {}, 0, why) == Wait("fires")
    back = SetWeights({"v-a": 100, "v-b": 0})
    assert due(decided(baking, Phase.ROLLING_BACK), live(now={"v-a": 1, "v-b": 1}), {}, 0, why) == back
    larger = replace(release("a"), config_name="solo-a-large")
    moving = replace(baking, phase=Phase.MOVING, challenger=larger, plan=replace(PLAN, guard=Guard()))
    assert due(moving, live(now={"v-a": 1, "v-b": 1}), {}, 0, why) == back


def test_superseded_challengers_are_kept_only_as_long_as_the_endpoint_uses_them(baking: RolloutState) -> None:
    old = tuple(Retiring(release(name), f"pair-a{name}", None, None) for name in "cd")
    newer = replace(baking, phase=Phase.PREPARING, step=-1, pair_config="pair-ab", retiring=old)
    effect = due(newer, live("pair-ad", now={"v-a": 1.0, "v-d": 0.0}), {}, 0)
    assert effect.attempt.retiring == old[1:]
    assert due(newer, live("pair-ad", now={"v-a": 1.0, "v-d": 0.0}, status="changing"), {}, 0) == Look()
    idle = replace(baking, phase=Phase.IDLE, challenger=None, retiring=old)
    assert due(idle, live("solo-a", {"v-a": 1.0}), {}, 0).state.retiring == ()


@pytest.mark.parametrize("outcome", ["withdrawn", "failed"])
def test_a_challenger_that_nothing_speaks_against_waits_as_before_its_trial(baking: RolloutState, outcome: str) -> None:
    back, emptied = decided(baking, Phase.ROLLING_BACK, outcome), live(now={"v-a": 100, "v-b": 0})
    assert due(back, emptied, {"arn:b": "PendingManualApproval"}, 0) == request(back, "solo-a")
    # It skipped its trial, and was approved just before the champion was wanted again.
    assert due(back, emptied, {"arn:b": "Approved"}, 0) == SetApproval("arn:b", "PendingManualApproval", FIRES)


def test_a_champion_that_failed_to_move_to_other_instances_stays_approved(baking: RolloutState) -> None:
    large = replace(release("a"), config_name="solo-a-large")
    back = decided(replace(baking, challenger=large), Phase.ROLLING_BACK, "failed")
    assert due(back, live("solo-a-large", {"v-a": 1.0}), {}, 0) == request(back, "solo-a", "solo-a-large")


def test_a_superseded_challenger_loses_its_traffic_before_the_endpoint_moves(baking: RolloutState) -> None:
    newer = replace(baking, phase=Phase.PREPARING, step=-1, pair_config="pair-ad", weights={"v-a": 100, "v-d": 0})
    assert due(newer, live(now={"v-a": 50, "v-b": 50}), {}, 0) == SetWeights({"v-a": 100, "v-b": 0})
    effect = due(newer, live(now={"v-a": 100, "v-b": 0}), {}, 0)
    assert effect == request(newer, "pair-ad")


def test_a_config_that_never_comes_up_is_given_up(baking: RolloutState) -> None:
    tried = replace(baking, phase=Phase.PREPARING, step=-1, moves=MAX_MOVES)
    alone = live("solo-a", {"v-a": 1.0})
    assert isinstance(due(tried, alone, {}, 0), UseConfig), "nobody says that it failed"
    assert isinstance(due(replace(tried, moves=2 * MAX_MOVES), alone, {}, 0), Record)
    effect = due(tried, replace(alone, failure="no capacity"), {}, 0)
    assert effect.state.phase is Phase.ROLLING_BACK
    assert "does not come up" in effect.state.decided.reason.text


ACCEPTED = Requested("pair-ab", "solo-a", modified=90.0, accepted_at=100.0)
SHOWN = replace(live("solo-a", {"v-a": 1.0}), modified=101.0)


@pytest.mark.parametrize(
    ("seen", "now", "answer"),
    [
        (SHOWN, 101, Record),  # it changed since, and has gone back
        (replace(SHOWN, modified=90.0), 101, Wait),  # as before the request: a read may be stale
        (replace(SHOWN, modified=90.0), 161, Record),
        (replace(SHOWN, status="changing"), 500, Look),
        (replace(SHOWN, config="solo-x"), 500, UseConfig),  # someone else moved it
        (replace(SHOWN, failure="no capacity"), 500, UseConfig),
        (replace(SHOWN, modified=90.0, failure=PING.format("b")), 101, Wait),  # the failure of an earlier request
        (replace(SHOWN, failure=PING.format("b")), 500, Record),
    ],
)
def test_an_endpoint_that_goes_back_without_a_reason_after_it_accepted_a_config_has_failed_with_it(
    baking: RolloutState, seen: Live, now: float, answer: type
) -> None:
    preparing = replace(baking, phase=Phase.PREPARING, step=-1, moves=1, requested=ACCEPTED)
    assert isinstance(due(preparing, seen, {}, now), answer)


LOST = replace(ACCEPTED, accepted_at=0.0)
OLDER = replace(SHOWN, modified=90.0, failure=PING.format("a"), detail=f"InService: {PING.format('a')}")


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.MOVING, Phase.PROMOTING, Phase.ROLLING_BACK])
@pytest.mark.parametrize("guard", [None, Guard("canary", 50, 60, ("alarm",))])
def test_the_failure_of_an_earlier_change_fails_no_request_that_was_lost_on_its_way(
    baking: RolloutState, phase: Phase, guard: Guard | None
) -> None:
    """Each of many calls is lost, and the endpoint still shows why its last change before them failed."""
    moved = replace(release("a"), config_name="solo-a-large") if phase is Phase.MOVING else release("b")
    lost = replace(decided(baking, phase), challenger=moved, plan=replace(PLAN, guard=guard), requested=LOST)
    seen = replace(OLDER, config="pair-ab" if phase is Phase.ROLLING_BACK else "solo-a")
    settled = {"arn:a": "Approved", "arn:b": "Rejected"}
    for moves in range(1, 2 * MAX_MOVES):
        wanted = due(replace(lost, moves=0), seen, settled, 500)
        requested = replace(LOST, config=wanted.name, before=seen.config)
        again = due(replace(lost, moves=moves, requested=requested), seen, settled, 500)
        assert isinstance(again, UseConfig), f"{moves} lost requests"


def test_a_failure_counts_once_the_request_is_accepted_or_the_endpoint_changed_since(baking: RolloutState) -> None:
    preparing = replace(baking, phase=Phase.PREPARING, step=-1, moves=1, requested=LOST)
    unknown = replace(OLDER, modified=0.0)
    for requested, seen in ((ACCEPTED, OLDER), (LOST, replace(OLDER, modified=91.0)), (LOST, unknown)):
        assert isinstance(due(replace(preparing, requested=requested), seen, {}, 500), Record)
    other = replace(LOST, config="shadow-ab")
    assert isinstance(due(replace(preparing, requested=other), replace(OLDER, modified=91.0), {}, 500), UseConfig)


def test_a_config_that_is_given_up_after_lost_requests_blames_nobody(baking: RolloutState) -> None:
    lost = replace(baking, phase=Phase.PREPARING, step=-1, moves=2 * MAX_MOVES, requested=LOST)
    failed = due(lost, replace(OLDER, failure=PING.format("b")), {}, 500).state
    assert failed.decided.outcome == "failed", "release b is not rejected"
    assert "6 requests of config pair-ab changed nothing" in failed.decided.reason.text


def test_a_config_that_fails_silently_rejects_no_release_and_says_where_to_look(baking: RolloutState) -> None:
    preparing = replace(baking, phase=Phase.PREPARING, step=-1, moves=1, requested=ACCEPTED)
    failed = due(preparing, SHOWN, {}, 500).state
    assert (failed.phase, failed.decided.outcome) == (Phase.ROLLING_BACK, "failed")
    assert "it accepted config pair-ab, and serves solo-a again without a reason" in failed.decided.reason.text


def test_only_an_accepted_request_of_this_phase_can_fail_silently(baking: RolloutState) -> None:
    """A controller may be killed before its call, and a phase begins with `moves` of 0."""
    preparing = replace(baking, phase=Phase.PREPARING, step=-1, moves=1)
    for requested in (None, replace(ACCEPTED, accepted_at=0.0), replace(ACCEPTED, config="solo-b")):
        assert isinstance(due(replace(preparing, requested=requested), SHOWN, {}, 500), UseConfig)
    assert isinstance(due(replace(preparing, moves=0, requested=ACCEPTED), SHOWN, {}, 500), UseConfig)


def test_a_release_that_has_served_before_is_tried_again_though_it_fails_silently(baking: RolloutState) -> None:
    back = replace(decided(baking, Phase.ROLLING_BACK), requested=replace(ACCEPTED, config="solo-a", before="pair-ab"))
    emptied = replace(live(now={"v-a": 100, "v-b": 0}), modified=101.0)
    assert isinstance(due(replace(back, moves=MAX_MOVES - 1), emptied, {"arn:b": "Rejected"}, 500), UseConfig)
    stranded = due(replace(back, moves=MAX_MOVES), emptied, {"arn:b": "Rejected"}, 500).state
    assert "serves pair-ab again without a reason" in stranded.history[-1].text
    assert due(stranded, emptied, {}, 501) == Rest()


def test_a_failed_endpoint_in_mid_trial_rolls_back(baking: RolloutState) -> None:
    effect = due(baking, live(status="failed"), {}, 0)
    assert effect.state.phase is Phase.ROLLING_BACK


def test_a_promotion_is_approved_only_when_the_challenger_has_all_traffic(baking: RolloutState) -> None:
    going = decided(baking, Phase.PROMOTING, "promoted")
    assert due(going, live(now={"v-a": 50, "v-b": 50}), {}, 0) == SetWeights({"v-a": 0, "v-b": 100})
    shifting = live(now={"v-a": 50, "v-b": 50}, going={"v-a": 0, "v-b": 100}, status="changing")
    assert isinstance(due(going, shifting, {}, 0), Wait)
    asked = live(now={"v-a": 50, "v-b": 50}, going={"v-a": 0, "v-b": 100})
    assert isinstance(due(going, asked, {}, 0), Wait)
    alone = live(now={"v-a": 0, "v-b": 100})
    assert due(going, alone, {}, 0) == SetApproval("arn:b", "Approved", FIRES, "b")
    assert isinstance(due(going, alone, {"arn:b": "Approved"}, 0), UseConfig)
    done = due(going, live("solo-b", {"v-b": 1.0}), {"arn:b": "Approved"}, 9)
    assert (done.state.champion, done.state.previous) == (baking.challenger, baking.champion)


def test_a_controller_that_came_too_late_is_put_right_at_rest(baking: RolloutState) -> None:
    idle = replace(baking, phase=Phase.IDLE, challenger=None, pair_config=None)
    assert due(idle, live("solo-a", {"v-a": 1.0}), {}, 0) == Rest()
    assert isinstance(due(idle, live("pair-ab"), {}, 0), UseConfig)


def test_an_endpoint_that_cannot_be_read_is_left_alone_but_for_a_rollback(baking: RolloutState) -> None:
    assert due(baking, None, {}, 0) == Look()
    assert due(replace(baking, phase=Phase.IDLE), None, {}, 0) == Rest()
    assert isinstance(due(decided(baking, Phase.PROMOTING), None, {}, 0), Wait)


weights = st.floats(0, 1000)
lives = st.one_of(
    st.none(),
    st.builds(
        Live,
        status=st.sampled_from(["ready", "changing", "failed"]),
        config=st.sampled_from(["solo-a", "solo-b", "solo-c", "pair-ab", "other"]),
        variants=st.dictionaries(
            st.sampled_from(["v-a", "v-b", "v-c", "v-x"]), st.builds(Variant, weights, weights, st.integers(0, 3))
        ),
    ),
)


@given(
    phase=st.sampled_from(list(Phase)),
    live=lives,
    approval=st.sampled_from([None, "Approved", "Rejected", "PendingManualApproval"]),
    whole=st.booleans(),
    moves=st.integers(0, 5),
)
def test_every_state_and_endpoint_has_a_next_effect_and_weights_are_never_all_zero(
    *, phase: Phase, live: Live | None, approval: str | None, whole: bool, moves: int
) -> None:
    state = RolloutState(
        "endpoint", phase=phase, champion=release("a"), challenger=release("b") if whole else None,
        previous=release("c") if whole else None, pair_config="pair-ab", step=0, moves=moves,
        plan=Plan.from_dict({"steps": [{"weight": 10, "bake_seconds": 1}]}), weights={"v-a": 90, "v-b": 10},
    )  # fmt: skip
    effect = due(state, live, {"arn:a": approval, "arn:b": approval}, 0)
    if isinstance(effect, SetWeights):
        assert sum(effect.weights.values()) == 100
    if isinstance(effect, UseConfig):
        assert live.status != "changing"
        assert live.config != effect.name
    if isinstance(effect, Record):
        assert effect.state != state
