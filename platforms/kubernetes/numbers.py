"""The numbers behind an alarm of a variant, and those of another variant beside it, from the counters of Envoy.

They are read scrape by scrape up to now: an alarm rings in the middle of a window, and it rings as well where scrapes
come late. Both variants are counted at the same scrapes, so that it does not matter which window a late one belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers
from platforms.kubernetes.alarm_rules import PERIOD, PERIODS, SLOWER_THAN
from platforms.kubernetes.envoy import ALL, Counted, EnvoyCounts
from platforms.kubernetes.metrics import whose
from platforms.kubernetes.prometheus import Prometheus
from platforms.kubernetes.rule import group_names
from rollout.core.failing import Counted as Bad

_MINUTE, _OFTEN = 60, 10
"""Seconds that are looked at together, at periods from a minute, and at shorter ones."""
_SECOND = 1  # of the grid: each scrape is in a cell of its own


@dataclass(frozen=True)
class AlarmNumbers:
    """Reads the numbers behind the alarms of one endpoint's variants."""

    prometheus: Prometheus
    namespace: str
    endpoint: str
    clusters: Callable[[str], tuple[str, ...]]

    def read(self, alarm: Alarm, champion: str) -> Numbers | None:
        """The numbers behind an alarm of the challenger, and the champion's at the same times.

        Args:
            alarm: The alarm; its numbers are those before `alarm.at`.
            champion: The champion's variant.

        Returns:
            None when the alarm counts no share of requests, or when the champion has none of its kind.

        Raises:
            RolloutError: Prometheus does not answer, or is behind.
        """
        if alarm.variant is None or alarm.variant not in alarm.name or alarm.at is None:
            return None
        rules = {
            rule.get("name"): rule
            for group in self.prometheus.groups(group_names(self.endpoint)[0], whose(self.namespace, self.endpoint))
            for rule in group.get("rules", [])
        }
        counts = _Counts.of(rules.get(alarm.name, {}))
        counterpart = rules.get(alarm.name.replace(alarm.variant, champion))
        if counts is None or counterpart is None:
            return None
        end = math.floor(alarm.at) + 1  # what was scraped in the same second, the rule has seen
        windows = EnvoyCounts(self.prometheus).read(
            {variant: self.clusters(variant) for variant in (alarm.variant, champion)},
            end - counts.seconds,
            end,
            _SECOND,
            () if counts.edge is None else (counts.edge,),
            until=alarm.at,
            as_seen=True,
        )
        together: dict[int, list[Counted]] = {}
        for window in windows:
            together.setdefault((end - 1 - window.start) // counts.step, []).append(window)
        bad = [
            window
            for group in together.values()
            if counts.sum(group, alarm.variant).share > counts.tolerated
            for window in group
        ]
        rings = any(item["state"] == "firing" for item in counterpart.get("alerts", []))
        return Numbers(counts.tolerated, counts.sum(bad, alarm.variant), counts.sum(bad, champion), rings)


@dataclass(frozen=True)
class _Counts:
    """What an alarm on a share counts.

    Attributes:
        tolerated: The share that may be bad.
        seconds: All that it may have looked at.
        step: How many seconds of it are looked at together.
        edge: Answers that took longer are bad, milliseconds; None: those with a 5XX are.
    """

    tolerated: float
    seconds: int
    step: int
    edge: float | None

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> _Counts | None:
        """None when it is no rule on a share."""
        notes = rule.get("annotations", {})
        if PERIOD not in notes:
            return None
        period, edge = int(float(notes[PERIOD])), notes.get(SLOWER_THAN)
        return cls(
            tolerated=float(notes["threshold"]),
            seconds=period * int(notes[PERIODS]),
            step=_OFTEN if period < _MINUTE else _MINUTE,
            edge=None if edge is None else float(edge),
        )

    def sum(self, windows: list[Counted], variant: str) -> Bad:
        """The bad requests of a variant and all of them."""
        if self.edge is None:
            each = [(window.of(variant, "5"), window.requests(variant)) for window in windows]
        else:
            each = [(window.within(variant, ALL) - window.within(variant, self.edge), window.within(variant, ALL))
                    for window in windows]  # fmt: skip
        return Bad(sum(bad for bad, _ in each), sum(all_ for _, all_ in each))
