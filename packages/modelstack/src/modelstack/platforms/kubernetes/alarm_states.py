"""`Alarms` on Kubernetes, read from the rules of a Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.alarms.alarm import Alarm, Said
from modelstack.platforms.kubernetes.alarm_rules import PERIOD, PERIODS, SLOWER_THAN
from modelstack.platforms.kubernetes.metrics import ANSWERS, LATENCY, VARIANT, whose
from modelstack.platforms.kubernetes.prometheus import Prometheus, epoch, number
from modelstack.platforms.kubernetes.rule import MEASURE, group_names
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.alarms import MEASURES
from modelstack.services.counters import FiringAlarm, ShareRule
from modelstack.services.declaration.alarm_names import FAILS, SLOW

_SERIES: Mapping[str, str] = {FAILS: ANSWERS, SLOW: LATENCY}
_MINUTE, _OFTEN = 60, 10
"""Step of a share rule in seconds, for periods of at least a minute and for shorter ones."""
_LATE, _LATE_INTERVALS = 60.0, 3.0
"""Rules that were last evaluated longer ago than both of these, in seconds and in intervals, are stale."""


@dataclass(frozen=True)
class PrometheusAlarms:
    """`Alarms` over the rules of one endpoint. `now` gives epoch seconds."""

    prometheus: Prometheus
    namespace: str
    endpoint: str
    now: Callable[[], float] = time.time

    def firing(self, variants: Collection[str]) -> list[FiringAlarm]:
        """See `Alarms`. The counts are those of the rule's last evaluation, because a scrape may be late now.

        Raises:
            RolloutError: Prometheus does not answer; or nothing fires and a rule is missing, failing, or stale.
        """
        found, known = list[FiringAlarm](), dict[tuple[str, str], str]()
        for group in self._groups():
            evaluated = epoch(group["lastEvaluation"])
            late = self._late(group, evaluated)
            for rule in group.get("rules", []):
                labels = rule.get("labels", {})
                variant, measure = labels.get(VARIANT, ""), labels.get(MEASURE, "")
                if variant in variants and measure in MEASURES:
                    known[variant, measure] = late or _failure(rule)
                    found += [
                        FiringAlarm(self._alarm(item, variant, measure), evaluated)
                        for item in rule["alerts"]
                        if item["state"] == "firing"
                    ]
        problems = [
            problem
            for variant in sorted(variants)
            for measure in MEASURES
            if (problem := known.get((variant, measure), f"the rule {measure} of {variant} is not loaded"))
        ]
        if problems and not found:
            raise Unreachable(f"nobody can say whether an alarm of {self.endpoint} fires: {'; '.join(problems)}")
        return found

    def rules(self, names: Collection[str]) -> dict[str, ShareRule]:
        rules = [rule for group in self._groups() for rule in group.get("rules", [])]
        found = {rule.get("name"): _share(rule) for rule in rules if rule.get("name") in names}
        return {str(name): rule for name, rule in found.items() if rule is not None}

    def _groups(self) -> list[Mapping[str, Any]]:
        return self.prometheus.groups(group_names(self.endpoint)[0], whose(self.namespace, self.endpoint))

    def _late(self, group: Mapping[str, Any], evaluated: float) -> str:
        """Why a group is stale; empty if it is not."""
        ago = self.now() - evaluated
        if ago <= max(_LATE, _LATE_INTERVALS * float(group.get("interval", 0))):
            return ""
        return f"its rules were evaluated {ago:.0f} s ago" if ago < _NEVER else "its rules were not evaluated yet"

    def _alarm(self, item: Mapping[str, Any], variant: str, measure: str) -> Alarm:
        notes = item["annotations"]
        why = Said(str(notes.get("summary", "")), number(item.get("value")), number(notes.get("threshold")))
        return Alarm(
            name=item["labels"]["alertname"],
            state="ALARM",
            said=why,
            at=epoch(item["activeAt"]),
            endpoint=self.endpoint,
            variant=variant,
            metrics=(_SERIES[measure],),
            measure=MEASURES[measure],
        )


_NEVER = 10 * 365 * 86_400  # Prometheus says of a rule that was never evaluated that it was so in the year 1


def _share(rule: Mapping[str, Any]) -> ShareRule | None:
    notes = rule.get("annotations", {})
    if PERIOD not in notes:
        return None
    period, slower_ms = int(float(notes[PERIOD])), notes.get(SLOWER_THAN)
    return ShareRule(
        tolerated=float(notes["threshold"]),
        seconds=period * int(notes[PERIODS]),
        step=_OFTEN if period < _MINUTE else _MINUTE,
        slower_than=None if slower_ms is None else float(slower_ms) * 1000,
        fires=any(item["state"] == "firing" for item in rule.get("alerts", [])),
    )


def _failure(rule: Mapping[str, Any]) -> str:
    if rule.get("health") == "ok":
        return ""
    return f"the rule {rule.get('name')} is {rule.get('health')}: {rule.get('lastError') or 'not evaluated yet'}"
