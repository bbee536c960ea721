"""A stack's dashboard, as Grafana reads it: the panels that CloudWatch has of a stack on AWS, in the same words. Pure.

    dashboard("flight-delay-prod", "models", objective, max_p99_ms=1000)

Variants are found by their labels, so a new release does not change it. What a variant answered is read from the
records of its rules. What is measured, each replica of the controller shows alike, so a panel takes the largest. The
data source is a variable, which Grafana sets to its Prometheus.

One Grafana may show stacks of one name from several namespaces, so the uid and the title tell these apart: of two
dashboards of one uid it keeps the last one, and two of one title in a folder it calls an error.

Source: Grafana documentation, "JSON model", schema version 39, and "Prometheus template variables" ($__interval).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring import panels, published
from monitoring.objectives.slo import OBJECTIVE, SLIS, Objective
from monitoring.panels import Panel
from platforms.kubernetes.alarm_rules import risen
from platforms.kubernetes.metrics import (
    CLASS,
    CLUSTER,
    EDGE,
    LATENCY,
    PROBED,
    REQUESTS,
    VARIANT,
    matched,
    series,
    whose,
)
from platforms.kubernetes.names import digest
from platforms.kubernetes.objective_rules import COUNTS
from platforms.kubernetes.promql import over, plain
from rollout.core.catalogue import EVENTS, INVALID, OWN

LABEL = {"grafana_dashboard": "1"}
"""By which Grafana's sidecar finds it."""
AT_GATEWAY = Panel("Latency at the gateway", panels.LATENCY.unit)
GATEWAY = Panel("Errors of the gateway itself", panels.ERRORS.unit)
BURN = Panel("How fast the error budget burns", "times as fast as the objective allows")
FAILURES = Panel("Work that fails, and releases whose drift cannot be measured", "times")
PROBE = Panel("What the probe found", "1: a sound answer")
RINGS = Panel("Alarms that ring", "1: it rings")
_WIDTH, _HEIGHT = 12, 8
_UID = 40  # characters that a uid may have
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_EVERY = "$__interval"
_FLOOR = "1m"
"""The shortest time from point to point, over which what is counted is counted."""

Expressions = Mapping[str, str]
"""The queries of a panel, by how its curves are called; `{{label}}` is filled in by Grafana."""


def dashboard(
    endpoint: str,
    namespace: str,
    objective: Objective,
    *,
    max_p99_ms: float,
    segments: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole dashboard.

    Args:
        endpoint: The endpoint.
        namespace: Where it is.
        objective: What users are promised.
        max_p99_ms: The line in the graph of latency.
        segments: Fields by which errors are told apart; without any, no graph shows them.
    """
    board = _Board(endpoint, namespace)
    made = [
        *board.service(max_p99_ms),
        *board.promised(objective),
        *board.input(),
        *board.labels(bool(segments)),
        *board.own(),
    ]
    placed = [{**panel, "id": number, "gridPos": _place(number - 1)} for number, panel in enumerate(made, 1)]
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
        "panels": placed,
    }


class _Board:
    """The panels of one endpoint."""

    def __init__(self, endpoint: str, namespace: str) -> None:
        self._of = whose(namespace, endpoint)
        self._served = {CLUSTER: f"service/{namespace}/{endpoint}-[0-9a-f]{{12}}/.*"}

    def service(self, max_p99_ms: float) -> list[dict[str, Any]]:
        """Who answers, how fast, and what became of releases."""
        requests = self._risen("requests")
        refused = self._increase(matched(REQUESTS, {CLASS: "4"}, self._served), "workload", self._workload)
        buckets = f"sum by ({EDGE}, {CLUSTER}) (rate({matched(LATENCY, like=self._served)}[$__rate_interval]))"
        slow = {
            f"p{share} {{{{workload}}}}": self._workload(f"histogram_quantile(0.{share}, {buckets})")
            for share in (50, 90, 99)
        }
        errors = {"5XX {{variant}}": self._risen("failed"), "4XX {{workload}}": refused}
        return [
            _graph(panels.REQUESTS, {"{{variant}}": requests}),
            _graph(panels.SHARES, {"{{variant}}": f"100 * {requests} / on () group_left () sum({requests})"}),
            _graph(panels.HAPPENED, {"{{event}}": self._born(f"{series(EVENTS)}_total", "event")}),
            _graph(AT_GATEWAY, slow, line=max_p99_ms),
            _graph(panels.ERRORS, errors),
            _graph(GATEWAY, {"5XX": f"sum({self._sum('modelstack:gateway_own_errors:rise')})"}),
        ]

    def promised(self, objective: Objective) -> list[dict[str, Any]]:
        """What is left of the error budgets, and how fast they burn."""
        left: dict[str, str] = {}
        for sli in SLIS:
            part, whole = (
                f"sum({over(matched(risen(f'{OBJECTIVE}_{name}'), self._of), objective.window_seconds)})"
                for name in COUNTS[sli]
            )
            left[sli] = f"100 * (1 - {part} / {whole} / {plain(objective.tolerated(sli))})"
        burns = f'max by (__name__, sli) ({{__name__=~"{OWN}:burn:.*",{matched("", self._of)[1:-1]}}})'
        stat = _panel(Panel(panels.budget(objective.window_seconds), "%"), left, "stat", instant=True)
        return [stat, _graph(BURN, {"{{sli}} {{__name__}}": burns})]

    def input(self) -> list[dict[str, Any]]:
        """How requests differ from training's."""
        feature = f"{VARIANT}, feature"
        rows = {
            f"{name} {{{{variant}}}}": self._count(name) for name in (*panels.UNUSUAL, published.CAPTURE_UNREADABLE)
        }
        return [
            _graph(panels.DRIFT, {"{{variant}}": self._level(published.DRIFT_EVIDENCE)}, line=1),
            _graph(panels.DISTANCE, {"{{variant}} {{feature}}": self._level(published.DRIFT_DISTANCE, feature)}),
            _graph(panels.ROWS, rows),
            _graph(panels.MISSING, {"{{variant}} {{feature}}": self._count(published.MISSING, feature)}),
        ]

    def labels(self, segments: bool) -> list[dict[str, Any]]:
        """How right the answers were, and what was made of the labels that came."""

        def interval(panel: Panel, measure: str, kind: str = published.REALISED) -> dict[str, Any]:
            found = {
                f"{kind}{measure}{end} {{{{variant}}}}": self._level(f"{kind}{measure}{end}")
                for end in ("", "Low", "High")
            }
            return _graph(Panel(panels.with_interval(panel), panel.unit), found)

        told = {"{{variant}} {{segment}}": self._level(published.SEGMENT_ERROR, f"{VARIANT}, segment")}
        unusable = {name: self._count(name, "") for name in published.UNUSABLE}
        invalid = self._born(f"{series(INVALID)}_sum", VARIANT, whole=f"{VARIANT}, rollout")
        return [
            *(interval(panel, measure) for measure, panel in panels.MEASURES.items()),
            *([_graph(panels.SEGMENTS, told)] if segments else []),
            interval(panels.ESTIMATED, "Accuracy", published.ESTIMATED),
            _graph(panels.CONCEPT, {"{{variant}}": self._level(published.CONCEPT_EVIDENCE)}, line=1),
            _graph(panels.UNUSABLE, unusable),
            _graph(panels.INVALID, {"{{variant}}": invalid}),
        ]

    def own(self) -> list[dict[str, Any]]:
        """What acts and watches."""
        failures = self._born("modelstack_tick_failures_total", "work")
        rings = f"max by (alertname) ({matched('ALERTS', {**self._of, 'alertstate': 'firing'})})"
        delay = f"max({matched(series(f'{published.DELAY}_seconds'), self._of)})"
        probe = {
            "sound": f"max({matched(series(published.PROBE_SUCCESS), self._of)})",
            "minutes since the last one": f"(time() - max({matched(PROBED, self._of)})) / 60",
        }
        return [
            _graph(FAILURES, {"{{work}}": failures, "drift": self._count(published.DRIFT_UNMEASURED, "")}),
            _graph(panels.LATE, {"most": delay}, line=900),
            _graph(PROBE, probe),
            _graph(RINGS, {"{{alertname}}": rings}),
        ]

    def _sum(self, record: str) -> str:
        return f"sum_over_time({matched(record, self._of)}[{_EVERY}])"

    def _risen(self, name: str) -> str:
        """By how much a record of the rules rose from point to point, by variant."""
        return f"sum by ({VARIANT}) ({self._sum(risen(name))})"

    def _level(self, metric: str, by: str = VARIANT) -> str:
        return f"max by ({by}) ({matched(series(metric), self._of)})"

    def _count(self, metric: str, by: str = VARIANT) -> str:
        return self._born(f"{series(metric)}_total", by)

    def _born(self, name: str, by: str, *, whole: str = "") -> str:
        """By how much a counter of ours rose from point to point; one that is new rose from 0.

        The replicas of the controller show what the database counts alike, but each counts its own work. Where a
        counter falls, because a replica began again, nothing is shown.

        Args:
            name: The counter.
            by: What tells its curves apart.
            whole: What tells its series apart, where that is more.
        """
        inner = f"max by ({whole or by}) ({matched(name, self._of)}"
        now, before = (f"sum by ({by}) ({inner}{ago}))" for ago in ("", f" offset {_EVERY}"))
        return f"clamp_min({now} - ({before} or 0 * {now}), 0)"

    def _increase(self, selector: str, by: str, named: Any) -> str:
        return f"sum by ({by}) ({named(f'increase({selector}[{_EVERY}])')})"

    def _workload(self, expression: str) -> str:
        """With the label `workload`, taken from the name of Envoy's cluster."""
        return f'label_replace({expression}, "workload", "$1", "{CLUSTER}", "service/[^/]+/([^/]+)/.*")'


def _graph(panel: Panel, expressions: Expressions, *, line: float | None = None) -> dict[str, Any]:
    return _panel(panel, expressions, "timeseries", line=line)


def _panel(
    panel: Panel, expressions: Expressions, kind: str, *, line: float | None = None, instant: bool = False
) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"axisLabel": panel.unit, "axisSoftMin": 0, "spanNulls": True}
    if line is not None:
        steps.append({"color": "red", "value": line})
        custom["thresholdsStyle"] = {"mode": "line"}
    defaults = {"custom": custom, "thresholds": {"mode": "absolute", "steps": steps}}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": expression,
            "legendFormat": name,
            "range": not instant,
            "instant": instant,
        }
        for index, (name, expression) in enumerate(expressions.items())
    ]
    if instant:
        defaults = {"unit": "percent", "max": 100, "thresholds": defaults["thresholds"]}
    return {
        "type": kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "interval": _FLOOR,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def _place(index: int) -> dict[str, int]:
    row, column = divmod(index, 2)
    return {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
