"""What does the dashboard of a stack on a cluster ask to be drawn? Pure: it is of Grafana's form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cli.console.definition import Widget
from cli.console.figure import Limit

EXPRESSION, LABEL = "Expression", "Label"
STEP, RATED = "$__interval", "$__rate_interval"
"""In a query: the time from point to point, over which what is counted is counted; and that of a rate."""
_LEAST_RATED = 240
"""Seconds of a rate: four of the longest pauses between two scrapes that a cluster may have."""
_NAMED = re.compile(r"\{\{(\w+)\}\}")


def widgets(text: str, period: int) -> list[Widget]:
    """The widgets of a dashboard, in its order.

    Args:
        text: The dashboard, as JSON.
        period: Seconds from point to point.
    """
    return [_widget(panel, period) for panel in json.loads(text)["panels"]]


def _widget(panel: Mapping[str, Any], period: int) -> Widget:
    defaults: Mapping[str, Any] = panel["fieldConfig"]["defaults"]
    steps = defaults["thresholds"]["steps"]
    return Widget(
        "metric",
        panel["title"],
        panel["gridPos"]["w"],
        tuple({"Id": one["refId"], EXPRESSION: one["expr"], LABEL: one["legendFormat"]} for one in panel["targets"]),
        defaults.get("custom", {}).get("axisLabel", ""),
        tuple(Limit("alarm", float(one["value"])) for one in steps if one["value"] is not None),
        single=panel["type"] == "stat",
        period=period,
    )


def asked(expression: str, step: int) -> str:
    """A query as Prometheus is asked it, with a point each so many seconds."""
    return expression.replace(RATED, f"{max(step, _LEAST_RATED)}s").replace(STEP, f"{step}s")


def called(label: str, labels: Mapping[str, str]) -> str:
    """How a curve is called, by its labels."""
    return " ".join(_NAMED.sub(lambda found: labels.get(found[1], ""), label).split())
