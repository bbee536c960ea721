"""Names of Prometheus metrics: Envoy's, and this project's by the names of `modelstack.monitoring.published`.

    series("LogLoss")                              # modelstack_log_loss, with _count, _sum, _squared_sum
    cluster("models", "flight-delay-prod-3f0c")    # service/models/flight-delay-prod-3f0c/8080/http

Our counters are in a database, so every replica of the controller exposes the same values: take their maximum. The
series of Envoy's replicas, and those of custom metrics, are independent: sum them.

Sources: Envoy's documentation, "Cluster manager statistics", "HTTP connection manager statistics" and "Statistics";
Envoy Gateway's, "EnvoyProxy", `mergeBackends`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping

from modelstack.platforms.kubernetes.names import PORT
from modelstack.rollout.core.catalogue import OWN

REQUESTS = "envoy_cluster_upstream_rq_xx"
"""Requests to a cluster by status class, including those that the gateway answers as no pod does: no healthy pod, a
failed connection, a reset, a timeout. A series begins with its first request."""
ANSWERS = "envoy_cluster_canary_upstream_rq_xx"
"""Those of them that a pod of ours answered: its runtime sets the header `x-envoy-upstream-canary`."""
LATENCY = "envoy_cluster_upstream_rq_time_bucket"
"""Responses within `le` milliseconds. Envoy updates it every five seconds."""
ANSWERED = "envoy_http_downstream_rq_xx"  # responses of a listener by status class, including the gateway's own
UPTIME = "envoy_server_uptime"  # uptime of an Envoy, seconds; up to five seconds old
UP = "up"  # 1 for each scrape, 0 if it failed
CLUSTER, CLASS, LISTENER, EDGE = (
    "envoy_cluster_name",
    "envoy_response_code_class",
    "envoy_http_conn_manager_prefix",
    "le",
)
INSTANCE = "instance"  # the label with host and port of the scraped target
NOT_OF_USERS = "admin|eg-.*"
"""Listeners without users' requests: Envoy's own, and those of Envoy Gateway for probes and metrics."""
INTERNAL = "xds_cluster|prometheus_stats|wasm_cluster|httproute/.*-mirror-[0-9]+"
"""Clusters without users' responses: Envoy's own requests, and shadow copies."""
NAMESPACE, ENDPOINT, VARIANT, ROLLOUT = "namespace", "endpoint", "variant", "rollout"
"""Labels of our own metrics and alerts. If Prometheus adds the pod's namespace, that is the same one: a controller
publishes only its own namespace."""
TICKED, PROBED = f"{OWN}_tick_time_seconds", f"{OWN}_probe_time_seconds"
"""Times of the last tick and of the last probe, epoch seconds."""

_STEPS = (10, 11, 12, 13.5, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 40, 45, 50, 55, 60, 67, 75, 82, 90)
EDGES = (*range(1, 10), *(step * 10**power for power in range(4) for step in _STEPS), 100_000, 300_000)
"""The bounds of the latency buckets that the gateway needs, milliseconds. Envoy's own lie too far apart (100, 250): a
challenger twice as slow would be within them. From 10 ms on, 1.5 times a bound is within 4% of another one."""
EDGES_APART = 0.125
"""The most by which a bound lies above the one before, as a share of that, from 10 ms on."""


def series(name: str, namespace: str = OWN) -> str:
    """The series name of a CloudWatch metric: `LogLoss` becomes `modelstack_log_loss`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"\W", "_", f"{namespace}_{snake}".lower())


def whose(namespace: str, endpoint: str) -> dict[str, str]:
    """The labels of all metrics of an endpoint."""
    return {NAMESPACE: namespace, ENDPOINT: endpoint}


def cluster(namespace: str, workload: str) -> str:
    """Envoy's name of a Service's backends, if Envoy Gateway merges backends."""
    return f"service/{namespace}/{workload}/{PORT}/http"


def copies(namespace: str, route: str) -> tuple[str, ...]:
    """Envoy's possible names of a mirror's backend, by the rule's number; mirrors are not merged.

    The rule comes after those of champion and challenger, and of up to two earlier workloads.
    """
    return tuple(f"httproute/{namespace}/{route}/rule/{number}-mirror-0" for number in _COPYING)


_COPYING = (2, 3, 4)


def edge_at_or_above(milliseconds: float) -> float | None:
    """The next bucket bound, where counts are exact; None above the last one."""
    at = bisect_left(EDGES, milliseconds * (1 - 1e-9))  # a bound that was converted to another unit and back is one
    return EDGES[at] if at < len(EDGES) else None


def nearest_edge(milliseconds: float) -> float | None:
    """The bucket bound whose ratio to a latency is the closest to 1; None above the last one."""
    above = edge_at_or_above(milliseconds)
    below = EDGES[max(0, bisect_left(EDGES, milliseconds) - 1)]
    return below if above is not None and milliseconds**2 < above * below else above


def edge_pattern(edge: float) -> str:
    """A pattern of a bucket's label: Prometheus 3 writes 100 as 100.0."""
    text = f"{edge:.12g}".replace(".", r"\.")
    return text if r"\." in text else rf"{text}(\.0)?"


def matched(
    name: str,
    equal: Mapping[str, str] | None = None,
    like: Mapping[str, str] | None = None,
    unlike: Mapping[str, str] | None = None,
) -> str:
    """A series selector: labels that are equal, and labels that match a pattern or do not."""
    tests = (("=", equal), ("=~", like), ("!~", unlike))
    parts = [f"{label}{test}{quoted(text)}" for test, labels in tests for label, text in (labels or {}).items()]
    return f"{name}{{{','.join(parts)}}}"


def any_of(values: tuple[str, ...]) -> str:
    """A pattern that matches exactly these values."""
    return "|".join(re.sub(r"([.+*?()\[\]{}^$|\\])", r"\\\1", value) for value in values)


def quoted(text: str) -> str:
    """A string literal of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def exposed(name: str, labels: Mapping[str, str]) -> str:
    """A series in the exposition format."""
    values = {key: value.encode("utf-8", "replace").decode() for key, value in labels.items()}
    return f"{name}{{{','.join(f'{key}={quoted(value)}' for key, value in values.items())}}}" if labels else name
