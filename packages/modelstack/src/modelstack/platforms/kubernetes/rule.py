"""Rules of Prometheus, and the alert of a declared alarm. Pure.

Source: Prometheus documentation, "Recording rules" and "Alerting rules"; Prometheus operator, "PrometheusRule".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from modelstack.platforms.kubernetes.metrics import ENDPOINT, edge_at_or_above, whose
from modelstack.services.declaration.alarm_names import alarm_name
from modelstack.services.declaration.alarm_thresholds import plain
from modelstack.services.declaration.alarms import AlarmSpec, Watch

Rule = dict[str, Any]
WAKE = "modelstack_wake"  # the label of alerts that wake the controller
PERCENT = "{{ $value | humanizePercentage }}"
MEASURE, SEVERITY = "measure", "severity"
MOVED = "moved"
"""The annotation of the alert on drift with the features that moved, separated by commas."""


@dataclass(frozen=True)
class Watched(Watch):
    """An endpoint, the Envoy clusters of its variants, and when its alarms fire."""

    namespace: str
    endpoint: str
    variants: Mapping[str, tuple[str, ...]]
    _: KW_ONLY
    every_seconds: int

    def __post_init__(self) -> None:
        if self.period_seconds < self.every_seconds:
            raise ValueError(
                f"period_seconds: got {self.period_seconds}, expected at least every_seconds = {self.every_seconds}"
            )
        if edge_at_or_above(self.max_p99_ms) is None:
            raise ValueError(f"max_p99_ms: got {self.max_p99_ms}, expected at most the last bound of Envoy's buckets")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all metrics of the endpoint."""
        return whose(self.namespace, self.endpoint)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters of all variants."""
        return tuple(dict.fromkeys(name for names in self.variants.values() for name in names))


def group_names(endpoint: str) -> tuple[str, str]:
    """The rule groups of an endpoint: its alarms, and those on the objective."""
    return endpoint, f"{endpoint}-slo"


def rule_file(groups: Iterable[Rule]) -> dict[str, Any]:
    """A rule file, which is also the spec of a PrometheusRule."""
    return {"groups": list(groups)}


def alert(
    of: Mapping[str, str],
    spec: AlarmSpec,
    expression: str,
    *,
    value: str = "",
    lasts: str = "",
    labels: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Rule:
    """The alert of an alarm.

    `of` are the labels of the endpoint, `value` is a template to append to the text, and `lasts` is the time for which
    the condition must hold, such as `2m`. `notes` become annotations, for readers of the rule.
    """
    rule: Rule = {"alert": alarm_name(of[ENDPOINT], spec.subject, spec.measure), "expr": expression}
    if lasts:
        rule["for"] = lasts
    wakes = {WAKE: "true"} if spec.role == "rollback" else {}
    return {
        **rule,
        "labels": {**of, MEASURE: spec.measure, SEVERITY: spec.severity, **wakes, **(labels or {})},
        "annotations": {
            "summary": f"{spec.text}: {value}" if value else spec.text,
            "value": "{{ $value }}",
            "threshold": plain(spec.threshold),
            "missing": spec.missing.text,
            "runbook": spec.runbook,
            **(notes or {}),
        },
    }


def record(name: str, expression: str, labels: Mapping[str, str]) -> Rule:
    """A recording rule."""
    return {"record": name, "expr": expression, "labels": dict(labels)}
