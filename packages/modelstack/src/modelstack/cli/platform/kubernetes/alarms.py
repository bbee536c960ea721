"""Alarms of an endpoint, from its rule groups in Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from modelstack.cli.platform.facts import AlarmInFull, AlarmView
from modelstack.platforms.kubernetes.metrics import whose
from modelstack.platforms.kubernetes.prometheus import Prometheus, epoch, number
from modelstack.platforms.kubernetes.rule import MOVED, SEVERITY, group_names
from modelstack.services.declaration.alarm_names import FAILING, measure_of

_STATES = {"firing": "ALARM", "pending": "OK", "inactive": "OK"}
_UNKNOWN = "INSUFFICIENT_DATA"
_FILLED_IN = re.compile(r"\{\{[^}]*\}\}")  # by Prometheus, when it fires
BLIND = "prometheus"  # name of the alarm that fires while Prometheus does not answer, or has no rules of the endpoint


def read(prometheus: Prometheus, namespace: str, endpoint: str) -> list[AlarmInFull]:
    """The alarms of the endpoint's groups; of two with one name, the firing one, or else the first."""
    ours = whose(namespace, endpoint)
    groups = [group for name in group_names(endpoint) for group in prometheus.groups(name, ours)]
    found: dict[str, AlarmInFull] = {}
    for rule in (rule for group in groups for rule in group.get("rules", ()) if "alerts" in rule):
        item = _alarm(rule)
        if rule["name"] not in found or item.alarm.state == "ALARM":
            found[rule["name"]] = item
    return list(found.values())


def blind(endpoint: str, why: str) -> AlarmInFull:
    """The alarm that fires while nothing watches the endpoint."""
    text = "Nobody watches the endpoint: its alarms cannot be read, and no trial goes on."
    return AlarmInFull(AlarmView(f"{endpoint}-{BLIND}", "ALARM", why, "page"), text)


def _alarm(rule: Mapping[str, Any]) -> AlarmInFull:
    labels: Mapping[str, str] = rule.get("labels") or {}
    told: Mapping[str, str] = rule.get("annotations") or {}
    first = next((item for item in rule["alerts"] if item.get("state") == "firing"), {})
    state = _STATES.get(rule.get("state", ""), _UNKNOWN) if rule.get("health", "ok") == "ok" else _UNKNOWN
    summary = _FILLED_IN.sub("…", str((first.get("annotations") or told).get("summary", "")))
    began = first.get("activeAt")
    # What fails is a label, and only the summary has it.
    value = None if measure_of(str(rule["name"])) == FAILING else number(first.get("value"))
    since = datetime.fromtimestamp(int(epoch(began)), UTC) if began else None
    return AlarmInFull(
        AlarmView(
            str(rule["name"]),
            state,
            str(rule.get("lastError") or (summary if first else "")),
            labels.get(SEVERITY, ""),
            value,
            number(told.get("threshold")),
            since.isoformat() if since else "",
            told.get("runbook", ""),
            tuple(filter(None, str((first.get("annotations") or {}).get(MOVED, "")).split(", "))),
        ),
        text=summary,
        missing=told.get("missing", ""),
        changes=((since, "began to fire"),) if since else (),
    )
