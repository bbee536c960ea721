"""A rule of Prometheus, and the alert of a declared alarm. Pure.

    rule_file([group])    # for `rule_files`, and the spec of a PrometheusRule

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
"""The value of an alert on a share."""
MEASURE, SEVERITY = "measure", "severity"


def group_names(endpoint: str) -> tuple[str, str]:
    """The groups of an endpoint's rules: its alarms, and those on the objective."""
    return endpoint, f"{endpoint}-slo"


def rule_file(groups: Iterable[Rule]) -> dict[str, Any]:
    """Groups as a file that `rule_files` names, which is the spec of a PrometheusRule too."""
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

    Args:
        of: The labels of the endpoint.
        spec: What it says.
        expression: What fires it.
        value: How its value is added to the sentence, as a template of Prometheus; empty: not at all.
        lasts: How long it must last, such as `2m`; empty: at once.
        labels: More of them.
        notes: More numbers of it, for whoever reads the rule.
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
    """What is computed at each evaluation."""
    return {"record": name, "expr": expression, "labels": dict(labels)}
