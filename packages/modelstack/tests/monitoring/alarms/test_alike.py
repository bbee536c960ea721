from __future__ import annotations

import math
from dataclasses import replace

import pytest

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.monitoring.alarms.alike import Numbers, compared, fails_alike, judged
from modelstack.rollout.core.catalogue import metric
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Metric
from tests.rollout.worlds import release

FAILURES = "AWS/SageMaker/Invocation5XXErrors"
ALARM = Alarm("v-b-5xx", "ALARM", "0.5 > 0.05", 200.0, "endpoint", "v-b", (FAILURES,), "errors")
SLOW = replace(ALARM, name="v-b-p99", metrics=("AWS/SageMaker/ModelLatency",), measure="latency")
PLAN = Plan(steps=(Step(10, 300),), metrics=(Metric("errors", "rate", 0.02), metric("latency_p99")))


TRIAL = RolloutState(
    "endpoint", rollout_id="000001-b", phase=Phase.BAKING, champion=release("a"),
    challenger=release("b"), plan=PLAN, started_at=100.0,
)  # fmt: skip


def numbers(
    challenger: tuple[int, int], champion: tuple[int, int], *, fires: bool = False, tolerated: float = 0.05
) -> Numbers:
    return Numbers(tolerated, Counted(*challenger), Counted(*champion), fires)


@pytest.mark.parametrize(
    ("challenger", "champion"),
    [((10, 20), (90, 180)), ((20, 20), (180, 180)), ((10, 20), (180, 180)), ((12, 20), (90, 180)), ((50, 90), (5, 10))],
    ids=["alike", "both wholly", "partly mended", "worse by chance", "few of the champion"],
)
def test_a_champion_that_is_about_as_bad_leaves_it_to_the_judge(
    challenger: tuple[int, int], champion: tuple[int, int]
) -> None:
    assert fails_alike(numbers(challenger, champion))


@pytest.mark.parametrize(
    ("challenger", "champion"),
    [((10, 20), (0, 180)), ((10, 20), (9, 180)), ((10, 20), (12, 180)), ((20, 20), (90, 180)), ((400, 900), (10, 100))],
    ids=["fails nothing", "as much as is tolerated", "a little more", "half as bad", "a fifth as bad"],
)
def test_a_challenger_that_is_clearly_worse_is_rolled_back(
    challenger: tuple[int, int], champion: tuple[int, int]
) -> None:
    assert not fails_alike(numbers(challenger, champion))


def test_the_champions_alarm_counts_where_its_numbers_are_just_what_is_tolerated() -> None:
    just = numbers((9, 60), (9, 180))
    assert not fails_alike(just)
    assert fails_alike(replace(just, champion_fires=True))


def test_an_alarm_of_the_champion_does_not_excuse_a_challenger_that_is_clearly_worse() -> None:
    assert not fails_alike(numbers((100, 100), (270, 900), fires=True))


@pytest.mark.parametrize(("challenger", "champion"), [((10, 20), (0, 0)), ((0, 0), (90, 180)), ((0, 0), (0, 0))])
def test_what_has_no_requests_is_not_compared(challenger: tuple[int, int], champion: tuple[int, int]) -> None:
    assert not fails_alike(numbers(challenger, champion, fires=True))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("requests", [(20, 180), (20, 20), (180, 20), (60, 540)])
def test_chance_makes_an_equal_challenger_look_clearly_worse_in_less_than_one_outage_of_a_hundred(
    share: float, requests: tuple[int, int]
) -> None:
    def chances(count: int) -> list[float]:
        return [math.comb(count, bad) * share**bad * (1 - share) ** (count - bad) for bad in range(count + 1)]

    of_challenger, of_champion = (chances(count) for count in requests)
    wrong = math.fsum(
        p1 * p0
        for bad1, p1 in enumerate(of_challenger)
        for bad0, p0 in enumerate(of_champion)
        if p1 * p0 > 1e-9 and not fails_alike(numbers((bad1, requests[0]), (bad0, requests[1]), fires=True))
    )
    assert wrong < 0.01


# --- where the judge decides


WELL = Counted(0, 20), Counted(1, 180)
BURST = Counted(0, 20), Counted(60, 180)
FAILS = Counted(7, 20), Counted(1, 180)


def left(*windows: tuple[Counted, Counted]) -> bool:
    """Whether the last window's alarm is left to the judge."""
    return fails_alike(compared(windows, 1, 0.05, champion_fires=False))


def test_a_burst_of_failures_is_compared_with_the_champions_worst_of_the_hours_before() -> None:
    assert left(WELL, BURST, WELL, WELL, FAILS)
    assert not left(WELL, WELL, WELL, WELL, FAILS)
    assert not left(WELL, BURST, WELL, (Counted(20, 20), Counted(1, 180))), (
        "it fails far more than the champion's burst"
    )


def test_failures_that_go_on_longer_than_the_champions_ever_did_are_rolled_back() -> None:
    before = [WELL, BURST, *[WELL] * 20]
    lasted = next(count for count in range(1, 20) if not left(*before, *[FAILS] * count))
    assert 2 <= lasted <= 3


def test_only_what_came_before_counts_as_the_champions_worst() -> None:
    found = compared([WELL, FAILS, FAILS], 1, 0.05, champion_fires=False)
    assert (found.challenger, found.champion) == (Counted(14, 40), Counted(2, 360))
    assert compared([], 0, 0.05, champion_fires=True) == numbers((0, 0), (0, 0), fires=True)


def test_the_challenger_on_trial_is_judged_against_the_champion() -> None:
    for phase in (Phase.BAKING, Phase.PAUSED, Phase.HELD):
        for alarm in (ALARM, SLOW):
            assert judged(replace(TRIAL, phase=phase), alarm) == (release("b"), release("a"))


@pytest.mark.parametrize(
    "state",
    [
        replace(TRIAL, champion=None),
        replace(TRIAL, champion=release("b"), challenger=None, phase=Phase.IDLE, previous=release("a")),
        replace(TRIAL, phase=Phase.PROMOTING),
        replace(TRIAL, plan=replace(PLAN, steps=(Step(100, 300),))),
        replace(TRIAL, plan=replace(PLAN, metrics=(metric("accuracy", prove=True),))),
        replace(TRIAL, started_at=300.0),
        replace(TRIAL, challenger=release("c")),
        replace(TRIAL, champion=replace(release("a"), variant="v-b")),
    ],
    ids=["first release", "promoted", "promoting", "all at once", "not judged by it", "older", "other", "same variant"],
)
def test_the_alarm_decides_alone_where_no_judge_would_find_out(state: RolloutState) -> None:
    assert judged(state, ALARM) is None


def test_slowness_is_left_to_a_judge_of_latency_and_failures_to_one_of_errors() -> None:
    errors = replace(TRIAL, plan=replace(PLAN, metrics=(Metric("errors", "rate", 0.02),)))
    latency = replace(TRIAL, plan=replace(PLAN, metrics=(metric("latency_p50", prove=True),)))
    assert [judged(state, alarm) is not None for state in (errors, latency) for alarm in (ALARM, SLOW)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_an_alarm_on_something_else_or_of_an_unknown_time_decides_alone() -> None:
    assert judged(TRIAL, replace(ALARM, metrics=("shop/Minutes",), measure=None)) is None
    assert judged(TRIAL, replace(ALARM, at=None)) is None
