"""Rules of Prometheus, and the alert of a declared alarm. Pure.

Source: Prometheus documentation, "Recording rules" and "Alerting rules"; Prometheus operator, "PrometheusRule".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from platforms.kubernetes.metrics import ENDPOINT
from services.declaration.alarm_names import alarm_name
from services.declaration.alarm_thresholds import plain
from services.declaration.alarms import AlarmSpec

Rule = dict[str, Any]
WAKE = "modelstack_wake"
"""The label of alerts that wake the controller."""
PERCENT = "{{ $value | humanizePercentage }}"
MEASURE, SEVERITY = "measure", "severity"


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
    notes: Mapping[str, float] | None = None,
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
            **{name: plain(number) for name, number in (notes or {}).items()},
        },
    }


def record(name: str, expression: str, labels: Mapping[str, str]) -> Rule:
    """A recording rule."""
    return {"record": name, "expr": expression, "labels": dict(labels)}
