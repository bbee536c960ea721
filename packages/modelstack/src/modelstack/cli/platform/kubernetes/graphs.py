"""`Graphs` of an endpoint on Kubernetes, from Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelstack.cli.errors import explained
from modelstack.cli.platform.facts import Series
from modelstack.cli.platform.port import Graphs
from modelstack.cli.target import Target
from modelstack.platforms.kubernetes.metrics import CLUSTER, VARIANT
from modelstack.platforms.kubernetes.panels import WORKLOAD, Panels
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.services.declaration.panels import Panel, PanelSettings

_LEAST_RATED = 240  # minimum seconds of a rate: four of the longest scrape intervals that a cluster may have


@dataclass(frozen=True)
class PrometheusGraphs(Graphs):
    """`Graphs` over one endpoint's Prometheus; `clusters` returns the Envoy clusters of each variant."""

    target: Target
    prometheus: Callable[[], Prometheus]
    clusters: Callable[[], Mapping[str, tuple[str, ...]]]

    def panels(self, interval: int) -> list[Panel]:
        return _paced(self._of(interval).all(PanelSettings.from_outputs(self.target.outputs)), interval)

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        known = self.clusters()
        names = [name for variant in variants for name in known.get(variant, ())]
        return _paced(self._of(interval).comparison(names), interval) if names else []

    def _of(self, interval: int) -> Panels:
        target, rated = self.target, max(interval, _LEAST_RATED)
        return Panels(target.namespace, target.endpoint, f"{interval}s", f"{rated}s")

    def curves(self, panel: Panel, start: float, end: float) -> list[Series]:
        single, step = panel.spec.kind == "budget", panel.spec.seconds
        start = math.floor(end) if single else math.ceil(start / step) * step
        named = {cluster: variant for variant, names in self.clusters().items() for cluster in names}
        found: list[Series] = []
        with explained("reading metrics"):
            for query in panel.queries:
                for item in self.prometheus().steps(query.text, start, end, step):
                    labels = {**item.labels, **_variant(item.labels, named)}
                    words = (query.label, *(labels.get(name, "") for name in query.by))
                    points = tuple(point for point in item.points if math.isfinite(point[1]))
                    found.append(Series(" ".join(filter(None, words)), points))
        return found


def _paced(panels: Sequence[Panel], interval: int) -> list[Panel]:
    """Panels with a point per interval; a budget has one for its whole window."""
    return [
        panel if panel.spec.kind == "budget" else replace(panel, spec=replace(panel.spec, seconds=interval))
        for panel in panels
    ]


def _variant(labels: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """Labels of a curve's variant, which also replace its workload."""
    variant = labels.get(VARIANT) or _served_by(labels.get(CLUSTER, ""), named)
    workload = {WORKLOAD: _served_by(f"//{labels[WORKLOAD]}", named)} if WORKLOAD in labels else {}
    return {VARIANT: variant, **workload}


def _served_by(cluster: str, named: Mapping[str, str]) -> str:
    """The variant of an Envoy cluster; the workload's name if it is gone."""
    parts = cluster.split("/")
    workload = parts[2] if len(parts) > 2 else cluster
    known = {name.split("/")[2]: variant for name, variant in named.items()}
    return known.get(workload, workload)
