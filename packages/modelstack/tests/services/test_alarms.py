"""Which firing alarms count against a challenger, and the numbers behind one, above any platform's counters."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest

from modelstack.monitoring.alarms.alarm import Alarm, Said
from modelstack.monitoring.alarms.alike import Numbers
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.plan import ERRORS, Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Tally
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.counters import CountedWindow, CountQuery, FiringAlarm, ShareRule
from tests.rollout.worlds import release

NOW = 1_767_614_404.5
ALARM = Alarm("x-v-b-5xx", "ALARM", Said("it fails"), NOW - 300, "x", "v-b", (), "errors")
FAILS = ShareRule(0.05, 180, 60, None, fires=True)
SLOW = replace(FAILS, tolerated=0.01, slower_than=80_000.0)
STATE = RolloutState(
    "x", rollout_id="r", phase=Phase.BAKING, champion=release("a"), challenger=release("b"),
    plan=Plan(steps=(Step(10, 30),), window_seconds=10, metrics=(ERRORS, KNOWN["latency_p99"])), started_at=NOW - 600,
)  # fmt: skip
Window = tuple[tuple[int, int], tuple[int, int]]
"""Requests and bad ones: of the champion, of the challenger."""


@dataclass
class Platform:
    """`Alarms` and `Counters` that say what a test has written down."""

    windows: list[Window] = field(default_factory=list[Window])
    rule: ShareRule = FAILS
    champion_fires: bool = False
    problem: str = ""
    missing: int = 0
    seconds: float = 0.0
    queries: list[CountQuery] = field(default_factory=list[CountQuery])

    def firing(self, variants: Collection[str]) -> list[FiringAlarm]:
        fires = {"v-b": True, "v-a": self.champion_fires}
        found = [replace(ALARM, name=f"x-{one}-5xx", variant=one) for one in variants if fires[one]]
        return [FiringAlarm(alarm, NOW) for alarm in found]

    def rules(self, names: Collection[str]) -> dict[str, ShareRule]:
        known = {"x-v-a-5xx": replace(self.rule, fires=self.champion_fires), "x-v-b-5xx": self.rule}
        return {name: rule for name, rule in known.items() if name in names}

    def time(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        self.missing -= 1
        if self.missing >= 0:
            return []
        if self.problem:
            raise Unreachable(self.problem)
        self.queries.append(query)
        names = {*query.cuts.get("v-a", {}), *query.cuts.get("v-b", {})} or {"failed"}
        found = list[CountedWindow]()
        begin = query.end - query.seconds * len(self.windows)
        for at, (champion, challenger) in enumerate(self.windows):
            bad = {"v-a": Tally(*champion), "v-b": Tally(*challenger)}
            found.append(
                CountedWindow(
                    int(begin) + at * query.seconds, {one: dict.fromkeys(names, bad[one]) for one in query.variants}
                )
            )
        return found

    def cut(self, latency: float) -> float | None:
        return next((edge for edge in (50_000.0, 100_000.0) if edge >= latency), None)

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> None: ...

    def captured(self) -> float:
        return 1.0


def numbers(platform: Platform, alarm: Alarm = ALARM) -> Numbers | None:
    return JudgedAlarms(platform, platform, platform).numbers(alarm, "v-a")


def firing(platform: Platform, state: RolloutState = STATE) -> list[str]:
    return [one.variant for one in JudgedAlarms(platform, platform, platform).firing(state)]


OUTAGE: list[Window] = [((180, 95), (20, 10))]


def test_both_are_counted_in_the_windows_in_which_the_challenger_was_bad() -> None:
    windows: list[Window] = [((90, 90), (10, 0)), ((90, 30), (10, 4)), ((90, 40), (10, 5))]
    assert numbers(Platform(windows)) == Numbers(0.05, Counted(9, 20), Counted(70, 180), champion_fires=False)
    fires = Platform(windows, champion_fires=True)
    assert numbers(fires) == Numbers(0.05, Counted(9, 20), Counted(70, 180), champion_fires=True)


def test_bad_windows_from_before_the_alarm_counted_are_not_the_challengers() -> None:
    windows: list[Window] = [((90, 0), (10, 9)), *[((90, 0), (10, 0))] * 10, ((90, 40), (10, 5))]
    assert numbers(Platform(windows)) == Numbers(0.05, Counted(5, 10), Counted(40, 90), champion_fires=False)


def test_all_that_the_alarm_may_have_counted_is_read_up_to_now() -> None:
    platform = Platform(OUTAGE)
    numbers(platform, replace(ALARM, at=NOW))
    assert platform.queries == [CountQuery(("v-b", "v-a"), 1_767_614_224 - 7200, NOW, 60, provisional=True)]


def test_slow_answers_are_counted_above_the_bound_at_which_counts_are_exact() -> None:
    platform = Platform(OUTAGE, SLOW)
    assert numbers(platform) == Numbers(0.01, Counted(10, 20), Counted(95, 180), champion_fires=False)
    assert platform.queries[0].cuts == {"v-b": {"p99": 100_000.0}, "v-a": {"p99": 100_000.0}}
    beyond = numbers(Platform(OUTAGE, replace(SLOW, slower_than=200_000.0)))
    assert beyond == Numbers(0.01, Counted(0, 0), Counted(0, 0), champion_fires=False)


@pytest.mark.parametrize(
    "alarm", [replace(ALARM, variant=None), replace(ALARM, at=None), replace(ALARM, name="x-v-b-drift"),
              replace(ALARM, name="somebody's"), replace(ALARM, name="y-v-b-5xx")]
)  # fmt: skip
def test_there_are_no_numbers_of_what_counts_no_share_or_has_no_counterpart(alarm: Alarm) -> None:
    assert numbers(Platform(OUTAGE), alarm) is None


def test_an_alarm_that_was_set_by_hand_has_nothing_behind_it() -> None:
    assert numbers(Platform()) == Numbers(0.05, Counted(0, 0), Counted(0, 0), champion_fires=False)
    assert firing(Platform()) == ["v-b"]


def test_an_outage_that_both_share_is_left_to_the_judge_as_long_as_it_lasts() -> None:
    platform = Platform(OUTAGE, champion_fires=True)
    assert firing(platform) == ["v-a"]
    assert [alarm.variant for alarm in JudgedAlarms(platform, platform, platform).all_firing(STATE)] == ["v-a", "v-b"]
    assert platform.queries[0].end == NOW, "as the counts are now, not as they were when it began to fire"
    platform.windows = []
    assert firing(platform) == ["v-a", "v-b"]


def test_a_challenger_that_is_clearly_worse_fires() -> None:
    assert firing(Platform([((180, 18), (20, 10))], champion_fires=True)) == ["v-a", "v-b"]


def test_an_alarm_decides_where_nobody_can_say_how_the_champion_does() -> None:
    platform = Platform(OUTAGE, problem="no answer", champion_fires=True)
    assert firing(platform) == ["v-a", "v-b"]
    assert platform.seconds == 3, "it is read again for some seconds, which a rollback may wait"


@pytest.mark.parametrize("missing, left", [(2, True), (3, True), (4, False)])
def test_counts_that_are_missing_for_a_moment_are_read_again(missing: int, left: bool) -> None:
    assert firing(Platform(OUTAGE, missing=missing)) == ([] if left else ["v-b"])
