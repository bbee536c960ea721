"""What is drawn of an endpoint on Kubernetes: what Envoy and the controller count, as Prometheus has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cli.console.definition import Widget
from cli.console.figure import Limit, Span
from cli.errors import explained
from cli.platform.facts import QUANTILES, Series
from cli.platform.kubernetes.platform import Kubernetes
from monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from platforms.kubernetes.metrics import (
    CLASS,
    CLUSTER,
    EDGE,
    ENDPOINT,
    LATENCY,
    REQUESTS,
    VARIANT,
    any_of,
    matched,
    series,
)

_PERIOD = 60  # seconds
_POINTS = 720  # of a curve, at most
_STEPS = (60, 300, 900, 3600, 6 * 3600, 86400)
_EXPRESSION, _LABEL = "Expression", "Label"
_STEP = "$step"
"""In a query: the seconds from point to point, over which what is counted is counted."""


@dataclass(frozen=True)
class PrometheusGraphs:
    """`Graphs` over one endpoint's Prometheus."""

    platform: Kubernetes

    def widgets(self) -> list[Widget]:
        """Of all variants: what they were asked, how they answered, and what was seen of drift."""
        name = self.platform.target.endpoint
        ours = {CLUSTER: f"service/{self.platform.target.namespace}/{name}-[0-9a-f]{{12}}/.*"}
        return [*_answers(ours), _evidence("Drift", DRIFT_EVIDENCE, name), _evidence("Concept", CONCEPT_EVIDENCE, name)]

    def comparing(self, variants: Sequence[str]) -> list[Widget]:
        """See `Graphs`."""
        known = self.platform.clusters()
        names = tuple(name for variant in variants for name in known.get(variant, ()))
        return _answers({CLUSTER: any_of(names)}) if names else []

    def coarser(self, widget: Widget, seconds: float, ago: float) -> Widget:
        """See `Graphs`."""
        return replace(widget, period=next((step for step in _STEPS if seconds / step <= _POINTS), _STEPS[-1]))

    def curves(self, widget: Widget, shown: Span) -> list[Series]:
        """See `Graphs`."""
        step = widget.period
        start = math.ceil(shown.start / step) * step
        named = {cluster: variant for variant, names in self.platform.clusters().items() for cluster in names}
        found: list[Series] = []
        with explained("reading metrics"):
            for query in widget.queries:
                asked = str(query[_EXPRESSION]).replace(_STEP, f"{step}s")
                for item in self.platform.prometheus().steps(asked, start, shown.end, step):
                    points = tuple(point for point in item.points if math.isfinite(point[1]))
                    whose = item.labels.get(VARIANT) or _named(item.labels.get(CLUSTER, ""), named)
                    found.append(Series(f"{query[_LABEL]} {whose}".strip(), points))
        return found


def _named(cluster: str, named: Mapping[str, str]) -> str:
    """The variant that a cluster of Envoy serves; of one that is gone, the workload."""
    parts = cluster.split("/")
    return named.get(cluster) or (parts[2] if len(parts) > 2 else cluster)


def _query(label: str, expression: str) -> Mapping[str, Any]:
    return {"Id": label or "q", _EXPRESSION: expression, _LABEL: label}


def _answers(ours: dict[str, str]) -> list[Widget]:
    """Requests, what failed, and latency, of each cluster."""

    def counted(classes: str) -> str:
        return f"sum by ({CLUSTER}) (increase({matched(REQUESTS, like={**ours, CLASS: classes})}[{_STEP}]))"

    failing = f"100 * ({counted('[45]')} or 0 * {counted('[2-5]')}) / {counted('[2-5]')}"
    buckets = f"sum by ({EDGE}, {CLUSTER}) (rate({matched(LATENCY, like=ours)}[{_STEP}]))"
    slow = tuple(_query(name, f"histogram_quantile(0.{name[1:]}, {buckets})") for name in QUANTILES)
    return [
        Widget("metric", "Requests", queries=(_query("", counted("[2-5]")),), unit="requests", period=_PERIOD),
        Widget("metric", "Failed or refused", queries=(_query("", failing),), unit="% of requests", period=_PERIOD),
        Widget("metric", "Latency at the gateway", queries=slow, unit="ms", period=_PERIOD),
    ]


def _evidence(title: str, name: str, endpoint: str) -> Widget:
    """Evidence that the controller publishes; each of its replicas shows the same."""
    told = _query("", f"max by ({VARIANT}) ({matched(series(name), {ENDPOINT: endpoint})})")
    rings = (Limit("rings from", 1.0, "alarm"),)
    return Widget("metric", title, queries=(told,), unit="evidence", period=_PERIOD, limits=rings)
