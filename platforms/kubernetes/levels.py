"""`Alarms` on Kubernetes: the alarms on how a variant answers, as the rules of a Prometheus have them now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from monitoring.alarms.alarm import Alarm, Measure, Said
from monitoring.alarms.outage import alike
from platforms.kubernetes.metrics import LATENCY, REQUESTS, VARIANT, whose
from platforms.kubernetes.numbers import AlarmNumbers
from platforms.kubernetes.prometheus import Prometheus
from platforms.kubernetes.rule import MEASURE, group_names
from rollout.core.errors import Unreachable
from rollout.core.ringing import Ringing
from rollout.core.state import RolloutState
from services.declaration.alarm_names import FAILS, SLOW

_MEASURES: Mapping[str, tuple[Measure, str]] = {FAILS: ("errors", REQUESTS), SLOW: ("latency", LATENCY)}
_LATE, _LATE_INTERVALS = 60.0, 3.0
"""Rules that were evaluated longer ago than so many seconds, and intervals, say nothing of now."""


@dataclass(frozen=True)
class PrometheusAlarms:
    """`Alarms` over the rules of one endpoint.

    Attributes:
        prometheus: Which evaluates them.
        namespace: Where the endpoint is.
        endpoint: The endpoint.
        clusters: Says by which clusters of Envoy a variant is served.
        now: Tells the time, epoch seconds.
    """

    prometheus: Prometheus
    namespace: str
    endpoint: str
    clusters: Callable[[str], tuple[str, ...]]
    now: Callable[[], float] = time.time

    def ringing(self, state: RolloutState) -> tuple[Ringing, ...]:
        """What rings of champion and challenger; an outage that both share is left to the judge."""
        read = AlarmNumbers(self.prometheus, self.namespace, self.endpoint, self.clusters).read
        return tuple(
            Ringing(alarm.variant, alarm.reason, alarm.at)
            for alarm, evaluated in self._firing(state)
            if alarm.variant is not None and alarm.at is not None
            # Not as the numbers were when it began to ring, nor as they are now, when a late scrape may leave nothing
            # to compare, but as the rule has them that rings.
            if alike(state, replace(alarm, at=max(alarm.at, evaluated)), read) is None
        )

    def alarms(self, state: RolloutState) -> tuple[Alarm, ...]:
        """What rings of champion and challenger, whether or not both fail alike.

        Raises:
            RolloutError: Prometheus does not answer; or nothing rings, and it cannot be said that nothing does, for a
                version's rules are not there, fail, or were not evaluated lately.
        """
        return tuple(alarm for alarm, _ in self._firing(state))

    def _firing(self, state: RolloutState) -> list[tuple[Alarm, float]]:
        """Each alarm that rings, and when that was last found."""
        variants = {release.variant for release in (state.champion, state.challenger) if release is not None}
        groups = self.prometheus.groups(group_names(self.endpoint)[0], whose(self.namespace, self.endpoint))
        found, known = list[tuple[Alarm, float]](), dict[tuple[str, str], str]()
        for group in groups:
            evaluated = _epoch(group["lastEvaluation"])
            late = self._late(group, evaluated)
            for rule in group.get("rules", []):
                labels = rule.get("labels", {})
                variant, measure = labels.get(VARIANT, ""), labels.get(MEASURE, "")
                if variant in variants and measure in _MEASURES:
                    known[variant, measure] = late or _failure(rule)
                    found += [
                        (self._alarm(item, variant, measure), evaluated)
                        for item in rule["alerts"]
                        if item["state"] == "firing"
                    ]
        problems = [
            problem
            for variant in sorted(variants)
            for measure in _MEASURES
            if (problem := known.get((variant, measure), f"the rule {measure} of {variant} is not loaded"))
        ]
        if problems and not found:
            raise Unreachable(f"nobody can say whether an alarm of {self.endpoint} rings: {'; '.join(problems)}")
        return found

    def _late(self, group: Mapping[str, Any], evaluated: float) -> str:
        """Why what a group says is not of now; empty when it is."""
        ago = self.now() - evaluated
        if ago <= max(_LATE, _LATE_INTERVALS * float(group.get("interval", 0))):
            return ""
        return f"its rules were evaluated {ago:.0f} s ago" if ago < _NEVER else "its rules were not evaluated yet"

    def _alarm(self, item: Mapping[str, Any], variant: str, measure: str) -> Alarm:
        says, series = _MEASURES[measure]
        notes = item["annotations"]
        why = Said(str(notes.get("summary", "")), _number(item.get("value")), _number(notes.get("threshold")))
        return Alarm(
            name=item["labels"]["alertname"],
            state="ALARM",
            said=why,
            at=_epoch(item["activeAt"]),
            endpoint=self.endpoint,
            variant=variant,
            metrics=(series,),
            measure=says,
        )


_NEVER = 10 * 365 * 86_400  # what was never evaluated was so in the year 1


def _failure(rule: Mapping[str, Any]) -> str:
    if rule.get("health") == "ok":
        return ""
    return f"the rule {rule.get('name')} is {rule.get('health')}: {rule.get('lastError') or 'not evaluated yet'}"


def _epoch(text: str) -> float:
    at = datetime.fromisoformat(text)
    return at.timestamp() if at.year > 1 else 0.0


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
