"""Does the judge keep its promises whatever answers depend on? Trials in simulated worlds; no cloud is needed.

python -m bench robustness

Equal versions, under either label, may be rolled back in at most `alpha` of the trials. Versions that are worse by
twice the margin of a metric may be promoted in at most `alpha`, or 1 in 10 where it need not be proven.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.judge import ALPHA, interval
from bench.rows import Row
from bench.worlds import (
    Effect,
    Log,
    Spells,
    World,
    ageing,
    bursts,
    churn,
    cold,
    drift,
    floods,
    high_load,
    labels,
    last_step,
    loaded,
    reported,
    retries,
    segment,
    sessions,
    shared,
    stalls,
    users,
    worse,
)  # fmt: skip
from modelstack.platforms.aws import metrics
from modelstack.platforms.aws.counters import CloudWatchCounters, Found, Series

TRIALS = 100
P90, P99 = ("errors", "latency_p90"), ("errors", "latency_p99")


@dataclass(frozen=True)
class CloudWatch(CloudWatchCounters):
    """SageMaker's metrics of the requests of a trial, with which failures are reported late."""

    log: Log

    def fetch(self, wanted: Iterable[Series], span: tuple[int, int], period: int) -> Found:
        """See `CloudWatchCounters`."""
        found: dict[tuple[Series, int], float] = {}
        times = np.arange(*span, period)
        for series in wanted:
            side = self.log.requests.chosen(self.log.requests.new == (series.variant == "new"))
            known = side.chosen(side.known <= self.log.now) if series.metric != metrics.INVOCATIONS else side
            begin, end = np.searchsorted(known.times, times), np.searchsorted(known.times, times + period)
            values = end - begin
            if series.stat == "Sum" and series.metric != metrics.INVOCATIONS:
                failed = np.append(0, known.failed.cumsum() * (series.metric == metrics.FAILED))
                values = failed[end] - failed[begin]
            found |= {(series, at): float(values[n]) for n, at in enumerate(times.tolist()) if end[n] > begin[n]}
        return found


_MORE, _SLOW = partial(worse, more=0.04), partial(worse, slower=2)
WORLDS: dict[str, tuple[str, World, Effect]] = {
    "fleet": ("nine instances against one, pauses", World((stalls,), P99), partial(worse, more=0.04, slower=2)),
    "poison": ("0.2% of the requests fail and are repeated six times", World((retries,), P90, rate=4, failing=0.002),
               partial(worse, more=0.04, only=segment())),
    "few": ("a request in 4 s, 2% fail and are repeated three times",
            World((partial(retries, again=0.7, most=3, wait=2),), rate=0.25, shares=(20, 50), minutes=40,
                  failing=0.02), _MORE),
    "season": ("the load swings by 70% in 80 minutes, latency with its square, and a dependency fails",
               World((partial(loaded, power=2), shared), P90, swing=0.7), partial(worse, more=0.04, only=high_load)),
    "tails": ("users of eight requests, Pareto tails of index 1.1",
              World((users,), ("errors", "latency_p50", "latency_p99"), session=8), _SLOW),
    "labels": ("labels come late, those of wrong answers sooner",
               World((partial(users, index=1.5), labels), ("errors", "accuracy"), rate=6, shares=(20, 50), minutes=30,
                     session=10), partial(worse, wrong=0.1)),
    "cold": ("200 requests of each instance are 3 times as slow, two more start later; the worse one stays so",
             World((cold,), ("errors", "latency_p90", "latency_p99"), rate=24, warm_up=200), partial(worse, slower=3)),
    "cold_failures": ("10% of the first 200 requests of an instance fail", World((partial(cold, fails=0.1),)), _MORE),
    "clients": ("clients with a broken input, each at one version for 1 to 3 minutes", World((floods,)),
                partial(worse, more=0.04, only=bursts())),
    "short_clients": ("the same for 20 to 60 s", World((partial(floods, spells=Spells(120, 20, 60)),)), _MORE),
    "restated": ("30% of the requests are missing for 3 minutes, 10% of the windows late, 5% of a version's lost",
                 World((partial(stalls, spells=Spells(100, 0.3, 1.2), instances=(4, 4)),), P90, lag=3, thin=0.3,
                       late=0.1, lost=0.05), partial(worse, more=0.0235, only=last_step)),
    "blackouts": ("a dependency fails, and half of the windows in which a version fails over 5% are lost",
                  World((partial(shared, spells=Spells(600, 60, 300), fails=0.3),), P90, lost_failing=0.5),
                  partial(worse, more=0.04, only=bursts(120))),
    "hidden": ("every window in which a version fails over 5% is lost", World(lost_failing=1.0),
               partial(worse, more=0.04, only=bursts(120))),
    "batches": ("30 requests a second for 20 to 40 s at one version, 5% fail; the worse one fails for few users",
                World((partial(floods, spells=Spells(300, 20, 40), rate=30, bad=0.05),), P90, session=8),
                partial(worse, more=0.04, only=segment(0.02))),
    "storms": ("a dependency fails, and requests are repeated four times; the worse one has a leak",
               World((partial(shared, spells=Spells(900, 20, 120), fails=0.5), partial(retries, again=0.8, most=4)),
                     P90), partial(worse, more=0.04, only=ageing)),
    "rising": ("load and latency rise fourfold, two instances pause; the worse one gets slower and slower",
               World((partial(loaded, power=1.5), partial(stalls, spells=Spells(300, 1, 5), instances=(2, 2))), P90,
                     swing=0.6, period=7200), partial(worse, slower=4, only=ageing)),
    "other_load": ("the load swings by 70% in 40 minutes, latency with its square",
                   World((partial(loaded, power=2),), P90, swing=0.7, period=2400), _SLOW),
    "reported_late": ("CloudWatch shows failures 3 to 10 minutes late; the worse one fails (4%) in the last step",
                      World((partial(reported, late=(180, 600)),),
                            counters=partial(CloudWatch, lambda service: None, "endpoint")),
                      partial(worse, more=0.0235, only=last_step)),
    "hidden_for_both": ("every window in which a version fails over 5% is lost for both",
                        World(lost_failing=1.0, lost_for_both=True), partial(worse, more=0.04, only=bursts(120))),
    "backoff": ("a dependency fails, and clients repeat with backoff at either version",
                World((partial(shared, spells=Spells(900, 20, 120), fails=0.3), stalls,
                       partial(retries, again=0.5, most=5, wait=5, routed=True)), P90), _MORE),
    "churn": ("instances are replaced each seven minutes, and are slow and fail for 20 s", World((churn,), P90), _MORE),
    "quiet": ("the load swings by 90% in an hour, and the fewer requests the slower",
              World((partial(loaded, power=-0.5), stalls), P90, swing=0.9, period=3600, session=3), _SLOW),
    "sessions": ("users of 20 requests, of which 3% fail often and are slow",
                 World((sessions,), P90, session=20), _MORE),
    "drift": ("latencies wander by 15%, and half of the requests are missing for 6 minutes",
              World((drift,), P90, lag=6, thin=0.5), _SLOW),
    "buckets": ("latencies by the gateway's buckets", World((), P99, buckets=True), _SLOW),
    "buckets_fourfold": ("the same, four times as slow", World((), P99, buckets=True), partial(worse, slower=4)),
}  # fmt: skip
_BEYOND = {"false_rollback_rate_cold_failures"}  # what no promise covers


def rows(trials: int = TRIALS) -> list[Row]:
    """How often equal versions are rolled back, and worse ones promoted."""
    return [row for name in WORLDS for row in _rows(name, trials)]


def _rows(name: str, trials: int) -> list[Row]:
    what, world, bad = WORLDS[name]
    number = list(WORLDS).index(name)
    ends = [world.trial((91, number, n // 2), swapped=bool(n % 2), every=2) for n in range(trials)]
    each = " and ".join(interval(ends[label::2].count("worse"), len(ends[label::2])) for label in (0, 1))
    told = f"{what}; {each} with the labels exchanged; {ends.count('promoted')} promoted"
    found = [_row(f"false_rollback_rate_{name}", ends.count("worse") / trials, told)]
    regressed = replace(world, effects=(bad, *world.effects))
    ends = [regressed.trial((92, number, n), every=2) for n in range(trials)]
    told = f"{what}; {interval(ends.count('promoted'), trials)}; {ends.count('worse')} rolled back"
    return [*found, _row(f"missed_regression_rate_{name}", ends.count("promoted") / trials, told)]


def _row(name: str, value: float, told: str) -> Row:
    return Row(name, value, "share", "" if name in _BEYOND else f"<= {ALPHA}", told)
