"""What is drawn of an endpoint on Kubernetes: what Envoy and the controller count, as Prometheus has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cli.console import panels
from cli.console.definition import Widget
from cli.console.figure import Limit, Span
from cli.console.panels import EXPRESSION, LABEL, STEP
from cli.errors import explained
from cli.platform.facts import QUANTILES, Series
from cli.platform.kubernetes.platform import Kubernetes
from monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from platforms.kubernetes.kinds import CONFIG_MAP
from platforms.kubernetes.metrics import (
    CLASS,
    CLUSTER,
    EDGE,
    LATENCY,
    REQUESTS,
    VARIANT,
    any_of,
    matched,
    series,
    whose,
)

_PERIOD = 60  # seconds
_POINTS = 720  # of a curve, at most
_STEPS = (60, 300, 900, 3600, 6 * 3600, 86400)


@dataclass(frozen=True)
class PrometheusGraphs:
    """`Graphs` over one endpoint's Prometheus."""

    platform: Kubernetes

    def widgets(self) -> list[Widget]:
        """Those of the stack's own dashboard. A stack that declares none shows what is known of any."""
        with explained(f"reading the dashboard of {self.platform.target.endpoint}"):
            made = self.platform.api().find(CONFIG_MAP, f"{self.platform.target.endpoint}-dashboard")
        if made is not None:
            (text,) = made["data"].values()
            return panels.widgets(text, _PERIOD)
        namespace, name = self.platform.target.namespace, self.platform.target.endpoint
        served, ours = {CLUSTER: f"service/{namespace}/{name}-[0-9a-f]{{12}}/.*"}, whose(namespace, name)
        evidence = [_evidence("Drift", DRIFT_EVIDENCE, ours), _evidence("Concept", CONCEPT_EVIDENCE, ours)]
        return [*_answers(served), *evidence]

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
        start = math.floor(shown.end) if widget.single else math.ceil(shown.start / step) * step
        named = {cluster: variant for variant, names in self.platform.clusters().items() for cluster in names}
        found: list[Series] = []
        with explained("reading metrics"):
            for query in widget.queries:
                asked = panels.asked(str(query[EXPRESSION]), step)
                for item in self.platform.prometheus().steps(asked, start, shown.end, step):
                    points = tuple(point for point in item.points if math.isfinite(point[1]))
                    labels = {**item.labels, **_whose(item.labels, named)}
                    label = panels.called(str(query[LABEL]), labels)
                    told = labels[VARIANT] not in label.split() and "{{" not in str(query[LABEL])
                    found.append(Series(f"{label} {labels[VARIANT]}".strip() if told else label, points))
        return found


def _whose(labels: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """The variant of a curve, which also stands for its workload."""
    variant = labels.get(VARIANT) or _named(labels.get(CLUSTER, ""), named)
    workload = {"workload": _named(f"//{labels['workload']}", named)} if "workload" in labels else {}
    return {VARIANT: variant, **workload}


def _named(cluster: str, named: Mapping[str, str]) -> str:
    """The variant that a cluster of Envoy serves; of one that is gone, the workload."""
    parts = cluster.split("/")
    workload = parts[2] if len(parts) > 2 else cluster
    known = {name.split("/")[2]: variant for name, variant in named.items()}
    return known.get(workload, workload)


def _query(label: str, expression: str) -> Mapping[str, Any]:
    return {"Id": label or "q", EXPRESSION: expression, LABEL: label}


def _answers(ours: dict[str, str]) -> list[Widget]:
    """Requests, what failed, and latency, of each cluster."""

    def counted(classes: str) -> str:
        return f"sum by ({CLUSTER}) (increase({matched(REQUESTS, like={**ours, CLASS: classes})}[{STEP}]))"

    failing = f"100 * ({counted('[45]')} or 0 * {counted('[2-5]')}) / {counted('[2-5]')}"
    buckets = f"sum by ({EDGE}, {CLUSTER}) (rate({matched(LATENCY, like=ours)}[{STEP}]))"
    slow = tuple(_query(name, f"histogram_quantile(0.{name[1:]}, {buckets})") for name in QUANTILES)
    return [
        Widget("metric", "Requests", queries=(_query("", counted("[2-5]")),), unit="requests", period=_PERIOD),
        Widget("metric", "Failed or refused", queries=(_query("", failing),), unit="% of requests", period=_PERIOD),
        Widget("metric", "Latency at the gateway", queries=slow, unit="ms", period=_PERIOD),
    ]


def _evidence(title: str, name: str, ours: Mapping[str, str]) -> Widget:
    """Evidence that the controller publishes; each of its replicas shows the same."""
    told = _query("", f"max by ({VARIANT}) ({matched(series(name), ours)})")
    rings = (Limit("rings from", 1.0, "alarm"),)
    return Widget("metric", title, queries=(told,), unit="evidence", period=_PERIOD, limits=rings)
