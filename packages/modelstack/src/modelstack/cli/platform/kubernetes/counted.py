"""Envoy's counts of an endpoint's variants, from Prometheus. Raises RolloutError when it does not answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from modelstack.cli.platform.facts import QUANTILES, ServedView, Spent
from modelstack.monitoring.objectives.slo import OBJECTIVE, Objective
from modelstack.platforms.kubernetes.alarm_rules import risen
from modelstack.platforms.kubernetes.envoy import ALL, Clusters, Counted, EnvoyCounts
from modelstack.platforms.kubernetes.metrics import (
    CLASS,
    CLUSTER,
    EDGE,
    EDGES,
    LATENCY,
    REQUESTS,
    any_of,
    matched,
    whose,
)
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.promql import over
from modelstack.platforms.kubernetes.rule import group_names

_WINDOW = 60
_MOST = 3 * 3600  # seconds that are read scrape by scrape: more is computed by Prometheus, which misses first bursts


def served(prometheus: Prometheus, clusters: Clusters, start: datetime, end: datetime) -> list[ServedView]:
    """The variants' traffic between two times, in whole minutes; `clusters` maps variants to Envoy cluster names."""
    first, last = (int(at.timestamp()) // _WINDOW * _WINDOW for at in (start, end))
    known = {variant: names for variant, names in clusters.items() if names}
    if not known or last <= first:
        return []
    if last - first > _MOST:
        return [_summed(prometheus, variant, names, first, last) for variant, names in known.items()]
    edges = [edge for edge in EDGES if math.isfinite(edge)]
    windows = EnvoyCounts(prometheus).read(known, first, last, _WINDOW, edges, until=last)
    return [_view(variant, [one for one in windows if one.counts is not None]) for variant in known]


def _view(variant: str, windows: Sequence[Counted]) -> ServedView:
    buckets = {edge: sum(one.of(variant, edge) for one in windows) for edge in (*EDGES, ALL)}
    lost = round(sum(one.lost.get(variant, 0.0) for one in windows))
    return ServedView(
        variant,
        round(sum(one.requests(variant) for one in windows)) + lost,
        round(sum(one.of(variant, "5") for one in windows)) + lost,
        round(sum(one.of(variant, "4") for one in windows)),
        _quantiles(buckets),
        lost,
    )


def _summed(prometheus: Prometheus, variant: str, names: tuple[str, ...], first: int, last: int) -> ServedView:
    ours, window = {CLUSTER: any_of(names)}, f"[{last - first}s]"
    by_class = prometheus.values(f"sum by ({CLASS}) (increase({matched(REQUESTS, like=ours)}{window}))", last)
    counts = {labels[CLASS]: value for labels, value in by_class}
    by_edge = prometheus.values(f"sum by ({EDGE}) (increase({matched(LATENCY, like=ours)}{window}))", last)
    buckets = {float(labels[EDGE]): value for labels, value in by_edge}
    answered = sum(value for code, value in counts.items() if code in "2345")
    failed, refused = (round(counts.get(code, 0.0)) for code in "54")
    return ServedView(variant, round(answered), failed, refused, _quantiles(buckets))


def _quantiles(buckets: Mapping[float, float]) -> dict[str, float]:
    """Quantiles in milliseconds, interpolated as PromQL's `histogram_quantile` does; none above the last bound."""
    whole, ordered = buckets.get(ALL, 0.0), sorted(buckets.items())
    found: dict[str, float] = {}
    for name in QUANTILES if whole else ():
        wanted = float(name.removeprefix("p")) / 100 * whole
        below, least = 0.0, 0.0
        for edge, count in ordered:
            if count >= wanted:
                if math.isfinite(edge):
                    found[name] = least + (edge - least) * (wanted - below) / (count - below)
                break
            least, below = edge, count
    return found


def spent(prometheus: Prometheus, namespace: str, endpoint: str, objective: Objective, now: float) -> Spent | None:
    """Consumption of an objective in its window until now, from recording rules; None without such rules."""
    ours = whose(namespace, endpoint)
    if not prometheus.groups(group_names(endpoint)[1], ours):
        return None

    def count(name: str) -> float:
        recorded = matched(risen(f"{OBJECTIVE}_{name}"), ours)
        return sum(value for _, value in prometheus.values(f"sum({over(recorded, objective.window_seconds)})", now))

    return Spent(count("requests"), count("failed"), count("slow"))
