"""A stack's dashboard for Grafana. Pure.

The data source is a variable, which Grafana sets to its Prometheus. The uid and title contain namespace and stack: of
two dashboards with one uid Grafana keeps the last, and it rejects two with one title in a folder.

Source: Grafana documentation, "JSON model", schema version 39, and "Prometheus template variables" ($__interval).
"""

from __future__ import annotations

from typing import Any

from modelstack.platforms.kubernetes.panels import Panels
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.declaration.panels import Panel, PanelSettings, Query
from modelstack.services.release_names import digest

LABEL = {"grafana_dashboard": "1"}  # the label by which Grafana's sidecar finds it
_WIDTH, _HEIGHT = 12, 8
_UID = 40  # characters that a uid may have
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_FLOOR = "1m"  # the shortest interval between two points


def dashboard(endpoint: str, namespace: str, settings: PanelSettings) -> dict[str, Any]:
    """The dashboard of an endpoint."""
    made = Panels(namespace, endpoint, "$__interval", "$__rate_interval").all(settings)
    return {
        "uid": digest([namespace, endpoint])[:_UID],
        "title": f"{namespace}/{endpoint}",
        "description": "Champion and challenger, by variant.",
        "tags": [OWN],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [{**_panel(panel), "id": place + 1, "gridPos": _place(place)} for place, panel in enumerate(made)],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    spec, instant = panel.spec, panel.spec.kind == "budget"
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"axisLabel": spec.unit, "axisSoftMin": 0, "spanNulls": True}
    if spec.line is not None:
        steps.append({"color": "red", "value": spec.line})
        custom["thresholdsStyle"] = {"mode": "line"}
    thresholds = {"mode": "absolute", "steps": steps}
    defaults = {"unit": "percent", "max": 100} if instant else {"custom": custom}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": query.text,
            "legendFormat": _legend(query),
            "range": not instant,
            "instant": instant,
        }
        for index, query in enumerate(panel.queries)
    ]
    return {
        "type": "stat" if instant else "timeseries",
        "title": spec.title,
        "datasource": _SOURCE,
        "interval": _FLOOR,
        "fieldConfig": {"defaults": {**defaults, "thresholds": thresholds}, "overrides": []},
        "targets": targets,
    }


def _legend(query: Query) -> str:
    return " ".join(filter(None, (query.label, *(f"{{{{{name}}}}}" for name in query.by))))


def _place(index: int) -> dict[str, int]:
    row, column = divmod(index, 2)
    return {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
