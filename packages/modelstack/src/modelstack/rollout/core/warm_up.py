"""The first requests of new instances, whose latencies say nothing about a version.

An instance that has just started fills its caches. The champion's instances have done that long ago.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelstack.rollout.core.plan import ERRORS, Plan
from modelstack.rollout.judge.metrics import Tally, Window

PER_INSTANCE = 200
"""Requests of an instance whose latencies do not count."""


def without_cold(plan: Plan, windows: tuple[Window, ...]) -> tuple[Window, ...]:
    """The windows of a trial in order, the first ones without latencies of either version.

    These are the windows before which the challenger had answered fewer requests than `plan.warm_up_requests`: so many,
    whatever their latencies were.
    """
    latencies = {metric.name for metric in plan.metrics if metric.quantile is not None}
    answered = cold = 0
    while latencies and cold < len(windows) and answered < plan.warm_up_requests:
        answered += windows[cold].challenger.get(ERRORS.name, Tally()).count
        cold += 1

    def rest(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        return {name: tally for name, tally in tallies.items() if name not in latencies}

    first = (replace(one, champion=rest(one.champion), challenger=rest(one.challenger)) for one in windows[:cold])
    return (*first, *windows[cold:])
