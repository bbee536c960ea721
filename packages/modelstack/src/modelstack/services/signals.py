"""`modelstack.rollout.controller.ports.Signals` above `Counters`: the tallies that the judge compares, window
by window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.core.catalogue import OWN, failures
from modelstack.rollout.core.decision import REQUESTS, TrialObservations
from modelstack.rollout.core.errors import RolloutError, Unanswered
from modelstack.rollout.core.state import Pivot
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.services.counters import COUNTED, CountedWindow, Counters, CountQuery


@dataclass(frozen=True)
class CountedSignals:
    """`Signals` over one endpoint's counters. They may cache windows: use one object for a whole trial.

    An error is a response 4XX or 5XX: clients' own mistakes affect both variants alike, and a challenger that refuses
    what the champion accepts is worse.
    """

    counters: Counters

    def read(self, ask: SignalQuery) -> TrialObservations:
        """The closed windows between two times; unknown if the counters are unreachable."""
        metrics = tuple(metric for metric in ask.metrics if metric.kind != "quantile" and metric.name != REQUESTS)
        is_captured = any(metric.namespace == OWN for metric in metrics)
        failed = failures(metrics)
        query = CountQuery(
            (ask.champion, ask.challenger),
            ask.start,
            ask.end,
            ask.window_seconds,
            self._cuts(ask),
            (*metrics, *failed.values()),
            ask.rollout_id,
            is_captured,
        )
        if query.grid[1] <= query.grid[0]:
            return TrialObservations(())
        try:
            counted = self.counters.counts(query)
            share = self.counters.captured() if is_captured else 0.0
        except RolloutError as error:
            return TrialObservations.unknown(str(error), unanswered=isinstance(error, Unanswered))
        answers = sum(window.of(ask.challenger).get(COUNTED, Tally()).count for window in counted)
        windows = tuple(
            Window(
                window.start,
                ask.window_seconds,
                *(_without_failed(failed, _known(ask, window, variant)) for variant in query.variants),
            )
            for window in counted
            if window.closed
        )
        return TrialObservations(windows, counted=_of_all(answers, share) if share else None)

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        try:
            return self.counters.quantile(variant, quantile, start, end)
        except RolloutError:
            return None

    def _cuts(self, ask: SignalQuery) -> dict[str, dict[str, float]]:
        """The latency cuts: the challenger's at (1 + margin) times the champion's, both at the nearest exact ones."""
        found = dict[str, dict[str, float]]({ask.champion: {}, ask.challenger: {}})
        for metric in ask.metrics:
            for pivot in _pivots(ask, metric.name):
                cut = self.counters.cut(pivot.value)
                if cut is not None:
                    found[ask.champion][_at(metric.name, pivot)] = cut
                    more = self.counters.cut(cut * (1 + metric.margin))
                    if more is not None:
                        found[ask.challenger][_at(metric.name, pivot)] = more
        return found


def _pivots(ask: SignalQuery, metric: str) -> Iterable[Pivot]:
    newest = ask.pivots.get(metric)
    return newest.chain() if newest else ()


def _at(metric: str, pivot: Pivot) -> str:
    """The name of a tally at a pivot."""
    return f"{metric}@{pivot.since}"


def _known(ask: SignalQuery, window: CountedWindow, variant: str) -> Mapping[str, Tally]:
    """The tallies of a variant, latencies at the pivot that was fixed last before the window began."""
    tallies = window.of(variant)
    found = {name: tally for name, tally in tallies.items() if "@" not in name}
    for metric in ask.pivots:
        pivot = next((pivot for pivot in _pivots(ask, metric) if pivot.since <= window.start), None)
        tally = tallies.get(_at(metric, pivot)) if pivot else None
        if tally is not None:
            found[metric] = tally
    return found


def _without_failed(failed: Mapping[str, Metric], tallies: Mapping[str, Tally]) -> Mapping[str, Tally]:
    """A custom metric whose function failed has an unknown sum, by which the judge can show nothing."""
    found = dict(tallies)
    for name, counter in failed.items():
        times = found.pop(counter.name, None)
        if times is not None and times.count:
            found[name] = Tally(times.count, math.nan, math.nan)
    return found


def _of_all(counted: float, share: float) -> float:
    """An estimate of all responses from a random share; the largest likely number if not all are captured."""
    return counted if share >= 1 else (counted + 3 * math.sqrt(counted)) / share
