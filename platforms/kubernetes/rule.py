"""How a rule of Prometheus is written, and what an alert says. Pure.

    rule_file([group])    # for `rule_files`, and the spec of a PrometheusRule

Source: Prometheus documentation, "Recording rules" and "Alerting rules"; Prometheus operator, "PrometheusRule".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitoring.objectives.slo import Severity
from platforms.kubernetes.metrics import ENDPOINT
from services.declaration.alarm_names import alarm_name
from services.declaration.alarm_thresholds import plain

Rule = dict[str, Any]
WAKE = "modelstack_wake"
"""The label of alerts at which the controller looks at once."""
MEASURE, SEVERITY = "measure", "severity"
RUNBOOK = "docs/how-to/runbook.md"
MEANINGS = "what-each-alarm-means"


def group_names(endpoint: str) -> tuple[str, str]:
    """The groups of an endpoint's rules: its alarms, and those on the objective."""
    return endpoint, f"{endpoint}-slo"


def rule_file(groups: Iterable[Rule]) -> dict[str, Any]:
    """Groups as a file that `rule_files` names, which is the spec of a PrometheusRule too."""
    return {"groups": list(groups)}


def alert(
    of: Mapping[str, str],
    subject: str,
    measure: str,
    expression: str,
    *,
    severity: Severity,
    summary: str,
    missing: str,
    threshold: float,
    section: str = MEANINGS,
    lasts: str = "",
    labels: Mapping[str, str] | None = None,
    told: Mapping[str, float] | None = None,
) -> Rule:
    """An alert.

    Args:
        of: The labels of the endpoint.
        subject: What it is about: a variant, or another part.
        measure: What of that it is on.
        expression: What rings it; its value is told.
        severity: `page` wakes somebody, `ticket` waits for the day.
        summary: What has happened, in a sentence.
        missing: What missing data means.
        threshold: What the value is compared with.
        section: The anchor of the section of the runbook.
        lasts: How long it must last, such as `2m`; empty: at once.
        labels: More of them.
        told: More numbers of it, for whoever reads the rule.
    """
    rule: Rule = {"alert": alarm_name(of[ENDPOINT], subject, measure), "expr": expression}
    if lasts:
        rule["for"] = lasts
    return {
        **rule,
        "labels": {**of, MEASURE: measure, SEVERITY: severity, **(labels or {})},
        "annotations": {
            "summary": summary,
            "value": "{{ $value }}",
            "threshold": plain(threshold),
            "missing": missing,
            "runbook": f"{RUNBOOK}#{section}",
            **{name: plain(number) for name, number in (told or {}).items()},
        },
    }


def record(name: str, expression: str, labels: Mapping[str, str]) -> Rule:
    """What is computed at each evaluation."""
    return {"record": name, "expr": expression, "labels": dict(labels)}
