"""Forecasts the duration of a rollout at today's traffic, by running the judge on simulated windows. Pure.

Both versions are assumed to answer as the champion did in the last day, with requests spread evenly and split by each
step's weight. Chance makes a trial shorter or longer, and a worse challenger is rolled back earlier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from modelstack.rollout.core.decision import REQUESTS
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.verdict import judge

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Traffic:
    """The champion's requests per second, share of 5XX, and latency quantiles in any unit (None: not measured)."""

    per_second: float
    failed: float = 0.0
    p50: float | None = None
    p99: float | None = None

    def slower(self, quantile: float, margin: float) -> float:
        """The share of answers slower than a quantile that exceed it by a margin; one half without measurements.

        Latencies are assumed log-normal, with the two measured quantiles.
        """
        if not margin:
            return 1.0
        if not self.p50 or not self.p99 or self.p99 <= self.p50:
            return 0.5
        deviation = math.log(self.p99 / self.p50) / _NORMAL.inv_cdf(0.99)
        beyond = 1 - _NORMAL.cdf(_NORMAL.inv_cdf(quantile) + math.log(1 + margin) / deviation)
        return beyond / (1 - quantile)


@dataclass(frozen=True)
class Foreseen:
    """The forecast of a rollout.

    Attributes:
        steps: Each step and its seconds; infinite if it does not end within the trial.
        ends: What happens after `limit` seconds: `roll_back` or `hold`.
        unknown: Metrics that cannot be forecast, since their values come from labels or from a user.
        at_once: Whether the challenger only bakes, without champion and minimum requests.
    """

    steps: tuple[tuple[Step, float], ...]
    limit: float
    ends: str
    unknown: tuple[str, ...] = ()
    better: bool = False
    at_once: bool = False

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(seconds for _, seconds in self.steps)

    @property
    def in_time(self) -> bool:
        """Whether it ends within the limit."""
        return self.seconds <= self.limit


def foreseen(plan: Plan, traffic: Traffic) -> Foreseen:
    """Forecast a plan at the champion's traffic."""
    known = tuple(metric for metric in plan.metrics if metric.kind != "mean")
    unknown = tuple(metric.name for metric in plan.metrics if metric.kind == "mean" and metric.prove)
    if plan.at_once or not any(metric.prove for metric in known):
        steps = tuple((step, _baked(plan, step, traffic)) for step in plan.steps)
        return Foreseen(steps, plan.max_seconds, plan.on_timeout, unknown, at_once=plan.at_once)
    most = math.ceil(plan.max_seconds / plan.window_seconds)
    past: list[Window] = []
    starts: list[float] = []
    found: list[tuple[Step, float]] = []
    for number, step in enumerate(plan.steps):
        starts.append(len(past) * plan.window_seconds)
        windows = [_window(plan, known, step, traffic, len(past) + more) for more in range(max(most - len(past), 0))]
        passed = _first(windows, _enough(plan, known, number, past, starts))
        if passed is None:
            found += [(later, math.inf) for later in plan.steps[number:]]
            break
        past += windows[:passed]
        found.append((step, passed * plan.window_seconds + plan.settle))
    return Foreseen(tuple(found), plan.max_seconds, plan.on_timeout, unknown, plan.promote_when == "better")


def _baked(plan: Plan, step: Step, traffic: Traffic) -> float:
    """Seconds of a step without evidence: its bake time, and the minimum requests of the challenger."""
    if plan.at_once:
        return step.bake_seconds
    rate = traffic.per_second * step.weight / 100
    return max(step.bake_seconds, plan.min_requests / rate if rate else math.inf)


def _enough(
    plan: Plan, metrics: Sequence[Metric], number: int, past: Sequence[Window], starts: Sequence[float]
) -> Callable[[Sequence[Window]], bool]:
    step = plan.steps[number]

    def passes(windows: Sequence[Window]) -> bool:
        if len(windows) * plan.window_seconds < step.bake_seconds:
            return False
        if sum(window.challenger[REQUESTS].count for window in windows) < plan.min_requests:
            return False
        found = judge(
            [*past, *windows],
            metrics=metrics,
            alpha=plan.alpha,
            starts=starts,
            segments=len(plan.steps),
            last=number == len(plan.steps) - 1,
        )
        return found.answer == "not worse"

    return passes


def _first(windows: Sequence[Window], passes: Callable[[Sequence[Window]], bool]) -> int | None:
    """The smallest number of windows that passes, by doubling and bisection; None if all of them do not."""
    low, high = 0, 1
    while not passes(windows[:high]):
        if high >= len(windows):
            return None
        low, high = high, min(2 * high, len(windows))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(windows[:middle]) else (middle, high)
    return high


def _window(plan: Plan, metrics: Sequence[Metric], step: Step, traffic: Traffic, place: int) -> Window:
    """One simulated window, split by weight. A shadow step leaves the champion's requests as they are."""
    share = step.weight / 100
    sides = {"champion": 1.0 if step.shadow else 1 - share, "challenger": share}
    found: dict[str, dict[str, Tally]] = {}
    for side, part in sides.items():
        rate = traffic.per_second * part * plan.window_seconds
        count = math.floor(rate * (place + 1)) - math.floor(rate * place)
        bad = rate * traffic.failed
        failed = math.floor(bad * (place + 1)) - math.floor(bad * place)
        found[side] = {REQUESTS: Tally(count, min(failed, count))}
        for metric in metrics:
            if metric.name != REQUESTS:
                cut = traffic.per_second * plan.window_seconds * place >= metric.requests_to_cut
                share = 1.0 if metric.quantile is None else traffic.slower(metric.quantile, metric.margin)
                slow = share if side == "challenger" else 1.0
                found[side][metric.name] = _tally(metric, rate * slow, count, place) if cut else Tally()
    width = float(plan.window_seconds)
    return Window(place * width, width, found["champion"], found["challenger"])


def _tally(metric: Metric, rate: float, count: int, place: int) -> Tally:
    """For a latency metric, the number of slow answers; else no failures."""
    if metric.quantile is None:
        return Tally(count)
    slow = rate * (1 - metric.quantile)
    return Tally(count, min(math.floor(slow * (place + 1)) - math.floor(slow * place), count))
