"""Both versions fail: what that says of a challenger, window by window."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.decision import Decision, TrialObservations, decide
from modelstack.rollout.core.failing import FAILED, UNANSWERED, Counted, both_fail, clearly_worse
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.transitions import apply
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import release

TOLERATED = 0.05
PLAN = Plan(
    steps=(Step(10, 30), Step(50, 30)), window_seconds=10, max_seconds=600, min_requests=50, max_failed=TOLERATED
)
ONE = replace(PLAN, steps=(Step(10, 30),), max_seconds=5000, metrics_timeout_seconds=5000)
BAKING = RolloutState(
    "endpoint", rollout_id="1", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=ONE,
    step=0, started_at=0.0, step_starts=(0.0,),
)  # fmt: skip
WELL, DOWN = ((180, 1), (20, 0)), ((180, 180), (20, 20))

Pair = tuple[tuple[int, int], tuple[int, int]]


def window(at: int, pair: Pair) -> Window:
    """One window of ten seconds: requests and failures of champion and challenger."""
    champion, challenger = ({"errors": Tally(*side), FAILED: Tally(*side)} for side in pair)
    return Window(10.0 * at, 10, champion, challenger)


def seen(*pairs: Pair) -> tuple[Window, ...]:
    return tuple(window(at, pair) for at, pair in enumerate(pairs))


# --- which windows count


def test_windows_in_which_both_fail_more_than_is_tolerated_do_not_count() -> None:
    windows = seen(WELL, DOWN, DOWN, WELL)
    found = both_fail(windows, TOLERATED)
    assert found.others == (windows[0], windows[3])
    assert (found.challenger, found.champion) == (Counted(40, 40), Counted(360, 360))
    assert not found.lasts
    assert found.numbers == {
        "outage_windows": 2, "windows": 4, "tolerated": TOLERATED, "outage_challenger_failed": 40,
        "outage_challenger_requests": 40, "outage_champion_failed": 360, "outage_champion_requests": 360,
    }  # fmt: skip


@pytest.mark.parametrize(
    "pair",
    [WELL, ((180, 9), (20, 1)), ((180, 180), (20, 1)), ((180, 9), (20, 20)), ((0, 0), (20, 20)), ((0, 0), (0, 0))],
    ids=["well", "as tolerated", "challenger is well", "champion is well", "champion not asked", "neither is asked"],
)
def test_where_one_does_not_fail_the_window_counts(pair: Pair) -> None:
    assert both_fail(seen(pair, pair), TOLERATED) is None


def test_chance_makes_no_outage_of_a_few_failures() -> None:
    few = ((5, 1), (2, 1))
    assert both_fail(seen(*[((5, 0), (2, 0))] * 20, few, *[((5, 0), (2, 0))] * 20), TOLERATED) is None
    assert both_fail(seen(*[((180, 12), (20, 2))] * 2), TOLERATED) is None


def test_an_outage_is_told_from_windows_with_few_requests_taken_together() -> None:
    well, down = ((5, 0), (2, 0)), ((5, 3), (2, 1))
    found = both_fail(seen(*[well] * 20, *[down] * 20, *[well] * 20), TOLERATED)
    assert (found.windows, found.lasts) == (20, False)


def test_failing_a_little_more_than_is_tolerated_is_told_from_all_windows_together() -> None:
    a_little = ((180, 16), (20, 2))
    assert both_fail(seen(a_little), TOLERATED) is None
    found = both_fail(seen(*[a_little] * 20), TOLERATED)
    assert (found.others, found.lasts) == ((), True)


def test_a_challenger_that_mends_a_part_counts_also_where_each_window_has_few_requests() -> None:
    half = ((57, 57), (3, 1))
    assert both_fail(seen(half), TOLERATED) is not None
    assert both_fail(seen(*[half] * 20), TOLERATED) is None


def test_it_lasts_while_the_champion_fails_and_nobody_asks_the_challenger() -> None:
    for newest, lasts in ((DOWN, True), (((180, 180), (0, 0)), True), (((180, 180), (20, 15)), True), (WELL, False)):
        found = both_fail(seen(WELL, DOWN, newest, ((0, 0), (0, 0))), TOLERATED)
        assert found.lasts is lasts


def test_without_counts_of_failures_nothing_is_known_to_fail() -> None:
    refused = tuple(replace(item, champion={"errors": Tally(180, 90)}) for item in seen(DOWN, DOWN))
    assert both_fail(refused, TOLERATED) is None
    assert both_fail((), TOLERATED) is None
    assert both_fail(seen(DOWN), 1.0) is None


def test_clearly_worse_asks_for_more_than_chance_and_more_than_is_tolerated() -> None:
    assert clearly_worse(Counted(20, 20), Counted(90, 180), TOLERATED)
    assert not clearly_worse(Counted(12, 20), Counted(90, 180), TOLERATED)
    assert not clearly_worse(Counted(5400, 10_000), Counted(5000, 10_000), TOLERATED)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12))
def test_which_windows_count_follows_from_the_champion_alone(failures: list[tuple[int, int, int]]) -> None:
    left_out: list[list[int] | None] = []
    for which in (1, 2):
        windows = seen(*(((180, each[0]), (20, each[which])) for each in failures))
        found = both_fail(windows, TOLERATED)
        others = None if found is None else [int(window.start) for window in found.others]
        left_out.append(others)
    assert None in left_out or left_out[0] == left_out[1]  # None: it mends the champion, or there is no outage


# --- what is decided


@pytest.mark.parametrize("side", ["champion", "challenger"])
def test_windows_that_plainly_lack_the_counts_of_one_version_compare_nothing(side: str) -> None:
    lost = [replace(window(at, ((180, 12), (20, 7))), **{side: {}}) for at in range(40, 52)]
    known = seen(*[WELL] * 40)
    decision = decide(ONE, BAKING, TrialObservations((*known, *lost)), 520)
    alone = decide(ONE, BAKING, TrialObservations(known), 410)
    assert decision.findings is not None and alone.findings is not None
    found, expected = (each.findings.each[0].reason.numbers for each in (decision, alone))
    names = "champion_count", "challenger_count", "evidence_worse", "evidence_not_worse"
    assert [found[name] for name in names] == [expected[name] for name in names]


def test_a_window_without_a_count_of_a_version_that_gets_few_requests_does_count() -> None:
    few = [replace(window(at, ((60, 1), (0, 0))), challenger={}) for at in range(40)]
    decision = decide(ONE, BAKING, TrialObservations(tuple(few)), 410)
    assert decision.findings is not None
    assert decision.findings.each[0].reason.numbers["champion_count"] == 40 * 60


def test_what_failed_as_often_as_the_champion_is_not_promoted() -> None:
    down = TrialObservations(seen(*[DOWN] * 50))
    assert decide(replace(ONE, max_failed=1.0), BAKING, down, 510).action == "promote", "it is shown to be not worse"
    assert decide(ONE, BAKING, down, 510).action == "hold"
    decision = decide(replace(ONE, min_requests=1), BAKING, TrialObservations(seen(WELL, *[DOWN] * 49)), 510)
    assert (decision.action, decision.requests) == ("hold", 20)
    assert "the champion failed (5XX) more than the tolerated 5.0%: 980 of 980" in decision.reason.text


def test_evidence_from_before_an_outage_moves_nothing_on_while_it_lasts() -> None:
    before = [WELL] * 80
    assert decide(ONE, BAKING, TrialObservations(seen(*before)), 810).action == "promote"
    decision = decide(ONE, BAKING, TrialObservations(seen(*before, DOWN)), 820)
    assert decision.action == "hold"
    assert decision.reason.text.startswith("not yet known, as the champion itself fails: in 1 of 81 windows")
    assert decide(ONE, BAKING, TrialObservations(seen(*before, DOWN, WELL)), 830).action == "promote"


def test_after_an_outage_the_other_windows_are_judged_as_if_it_had_not_been() -> None:
    blind, outage = replace(ONE, max_failed=1.0, alpha=ONE.alpha / 2), [DOWN] * 50
    for more, action in (([WELL] * 3, "hold"), ([WELL] * 90, "promote"), ([((180, 1), (20, 4))] * 20, "roll_back")):
        decision = decide(ONE, BAKING, TrialObservations(seen(*outage, *more)), 1510)
        alone = decide(blind, BAKING, TrialObservations(seen(*more)), 1510)
        assert (decision.action, decision.requests) == (action, 20 * len(more))
        assert (alone.action, f"{alone.reason.text}. Not counted is an outage: in 50 of {50 + len(more)} windows") == (
            action,
            decision.reason.text.partition(" the champion failed")[0],
        )


def test_a_challenger_that_is_worse_in_an_outage_is_rolled_back() -> None:
    worse = ((180, 90), (20, 20))
    assert decide(ONE, BAKING, TrialObservations(seen(*[WELL] * 20, *[worse] * 40)), 610).action == "roll_back"


def test_too_little_traffic_tells_of_the_windows_that_are_not_counted() -> None:
    decision = decide(ONE, BAKING, TrialObservations(seen(WELL, *[DOWN] * 9)), 110)
    assert decision.action == "hold"
    assert (
        "answered 20 of at least 50 requests in this step. Not counted is an outage: in 9 of 10" in decision.reason.text
    )


def test_what_clients_do_wrong_holds_nothing_back() -> None:
    refused = {"errors": Tally(180, 36), FAILED: Tally(180, 0)}
    windows = tuple(Window(10.0 * at, 10, refused, refused) for at in range(80))
    plan = replace(ONE, metrics=(Metric("errors", "rate", 0.05),))
    assert decide(plan, BAKING, TrialObservations(windows), 810).action == "promote"


sides = st.tuples(st.integers(0, 400), st.floats(0, 1)).map(lambda side: (side[0], round(side[0] * side[1])))


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=40), st.sampled_from([0.01, TOLERATED, 0.5]))
def test_every_window_counts_or_is_of_the_outage_and_nothing_is_promoted_by_those(
    pairs: list[Pair], tolerated: float
) -> None:
    windows = seen(*pairs)
    failing = both_fail(windows, tolerated)
    if failing is None:
        return
    assert failing.windows + len(failing.others) == failing.of == len(windows)
    assert all(window in windows for window in failing.others)
    if decide(replace(ONE, max_failed=tolerated), BAKING, TrialObservations(windows), 400).action == "promote":
        assert not failing.lasts
        assert decide(replace(ONE, max_failed=1.0), BAKING, TrialObservations(failing.others), 400).action == "promote"


# --- requests that no instance answered


def silent(challenger: tuple[int, int], champion: tuple[int, int] = (0, 0)) -> TrialObservations:
    """Fifty good windows, with so many requests sent to each version and unanswered in the last one."""
    *windows, last = seen(*[WELL] * 50)
    lost = [{UNANSWERED: Tally(sent, none)} for sent, none in (champion, challenger)]
    last = replace(last, champion={**last.champion, **lost[0]}, challenger={**last.challenger, **lost[1]})
    return TrialObservations((*windows, last))


@pytest.mark.parametrize(
    ("challenger", "champion", "action"),
    [((100, 2), (0, 0), "promote"), ((100, 3), (0, 0), "hold"), ((100, 30), (900, 270), "promote")],
    ids=["as few as tolerated", "too many", "the champion's as well"],
)
def test_a_challenger_whose_instances_leave_requests_unanswered_takes_no_step(
    challenger: tuple[int, int], champion: tuple[int, int], action: str
) -> None:
    assert decide(ONE, BAKING, silent(challenger, champion), 510).action == action


@pytest.mark.parametrize(
    "seen",
    [silent((100, 60)), TrialObservations.unknown("3 requests had no answer of a pod", unanswered=True)],
    ids=["of the challenger", "of nobody knows whom"],
)
@pytest.mark.parametrize("plan", [ONE, replace(ONE, steps=(Step(100, 30),))], ids=["canary", "at once"])
def test_unanswered_requests_end_a_trial_in_time_without_a_word_against_the_model(
    seen: TrialObservations, plan: Plan
) -> None:
    waits, over = (decide(plan, BAKING, seen, now) for now in (510, 5001))
    assert (waits.action, over.action) == ("hold", "roll_back")
    assert over.reason.beside == waits.reason
    assert "answer" in waits.reason.text
    decided = apply(replace(BAKING, plan=plan), over, 5001).decided
    assert decided is not None
    assert decided.outcome == "failed", "it is not rejected"


def test_failures_of_the_model_roll_back_whatever_is_unanswered() -> None:
    both = seen(*[((180, 1), (20, 18))] * 50)
    lost = {UNANSWERED: Tally(100, 60)}
    windows = tuple(replace(item, challenger={**item.challenger, **lost}) for item in both)
    assert decide(ONE, BAKING, TrialObservations(windows), 510).action == "roll_back"


def test_a_share_that_was_reduced_for_unanswered_requests_is_no_reason_to_reject_either() -> None:
    silent = Reason("endpoint", "instances", "3 requests had no answer of a pod", kind=Kind.UNANSWERED)
    facts, numbers = {"resumes": True}, {"percent": 0.0, "seconds": 60.0, "times": 1.0, "max_seconds": 60.0}
    reduced = Reason("judge", "metrics", numbers=numbers, kind=Kind.REDUCED, facts=facts, beside=silent)
    for beside, outcome in ((reduced, "failed"), (replace(reduced, beside=None), "rolled_back")):
        over = Reason("timeout", "max_seconds", numbers=numbers, kind=Kind.NO_VERDICT, beside=beside)
        decided = apply(BAKING, Decision("roll_back", over), 5001).decided
        assert decided is not None
        assert decided.outcome == outcome
