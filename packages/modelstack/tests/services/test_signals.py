"""What the judge is given of any platform's counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.state import Pivot
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.counters import COUNTED, CountedWindow, CountQuery
from modelstack.services.signals import CountedSignals

P99 = KNOWN["latency_p99"]


@dataclass
class Platform:
    """`Counters` that are exact at 100, 250 and 500 alone; each tally counts ten, `slower` of them than a cut."""

    share: float = 1.0
    problem: str = ""
    queries: list[CountQuery] = field(default_factory=list[CountQuery])
    slower: Mapping[float, int] = field(default_factory=dict[float, int])

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        self._reach()
        self.queries.append(query)
        named = {
            variant: {"errors": Tally(10, 1), COUNTED: Tally(10, 1)}
            | {name: Tally(10, self.slower.get(cut, 1)) for name, cut in query.cuts[variant].items()}
            for variant in query.variants
        }
        closed = [CountedWindow(at, named) for at in range(*query.grid, query.seconds)]
        return [*closed, CountedWindow(query.grid[1], named, closed=False)]

    def cut(self, latency: float) -> float | None:
        return next((edge for edge in (100.0, 250.0, 500.0) if edge >= latency), None)

    def captured(self) -> float:
        return self.share

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile:
        self._reach()
        return Quantile(80.0, 100)

    def _reach(self) -> None:
        if self.problem:
            raise Unreachable(self.problem)


def read(
    platform: Platform, *metrics: Metric, end: float = 34, pivots: Mapping[str, Pivot] | None = None
) -> TrialObservations:
    return CountedSignals(platform).read(SignalQuery("v-a", "v-b", "r", 3, end, 10, metrics, pivots or {}))


def test_closed_windows_lie_on_one_grid_whenever_the_trial_began() -> None:
    windows = read(Platform()).windows or ()
    assert [(one.start, one.seconds) for one in windows] == [(10, 10), (20, 10)]
    assert windows[0].champion == {"errors": Tally(10, 1), COUNTED: Tally(10, 1)}


def test_nothing_is_read_before_a_window_has_closed() -> None:
    platform = Platform()
    assert read(platform, end=19).windows == ()
    assert platform.queries == []


@pytest.mark.parametrize(
    ("pivot", "cuts"), [(80, (100, 250)), (100, (100, 250)), (300, (500, None)), (501, (None, None))]
)
def test_latencies_are_cut_where_counts_are_exact_and_never_below_pivot_and_margin(
    pivot: float, cuts: tuple[float | None, float | None]
) -> None:
    platform = Platform()
    read(platform, P99, pivots={P99.name: Pivot(pivot, 0)})
    found = platform.queries[0].cuts
    assert tuple(next(iter(found[variant].values()), None) for variant in ("v-a", "v-b")) == cuts


def test_windows_that_began_before_a_cut_was_fixed_hold_no_latency() -> None:
    windows = read(Platform(), P99, pivots={P99.name: Pivot(80, 15)}).windows or ()
    assert [P99.name in one.champion for one in windows] == [False, True]


def test_each_window_is_compared_at_the_pivot_that_was_fixed_last_before_it_began() -> None:
    platform = Platform(slower={100.0: 9, 250.0: 4, 500.0: 2})
    pivots = {P99.name: Pivot(200, 20, earlier=Pivot(80, 5))}
    windows = read(platform, P99, pivots=pivots).windows or ()
    tallies = [(one.champion[P99.name].total, one.challenger[P99.name].total) for one in windows]
    assert tallies == [(9, 4), (4, 2)]


@pytest.mark.parametrize(
    ("share", "counted"),
    [(1.0, 30), (0.1, pytest.approx((30 + 3 * 30**0.5) / 0.1)), (0.0, None)],
    ids=["all", "a tenth, as many as may well be", "none"],
)
def test_captured_answers_are_counted_in_open_windows_too_and_stand_for_all(
    share: float, counted: float | None
) -> None:
    assert read(Platform(share), KNOWN["accuracy"]).counted == counted


def test_answers_are_not_counted_for_a_trial_that_needs_no_captured_ones() -> None:
    platform = Platform()
    assert read(platform, KNOWN["errors"], P99, Metric("orders", "rate", 0.1, namespace="shop")).counted is None
    assert not platform.queries[0].captured
    assert [metric.name for metric in platform.queries[0].metrics] == ["orders"]


def test_counters_that_are_unreachable_are_unknown_and_say_why() -> None:
    signals = CountedSignals(Platform(problem="no answer"))
    assert signals.read(SignalQuery("v-a", "v-b", "r", 0, 60, 10)) == TrialObservations.unknown("no answer")
    assert signals.quantile("v-a", 0.5, 0, 60) is None
    assert CountedSignals(Platform()).quantile("v-a", 0.5, 0, 60) == Quantile(80.0, 100)
