"""Metrics as Prometheus names them: those of Envoy, and this project's own, by the names of `monitoring.published`.

    series("LogLoss")                              # modelstack_log_loss, of which there are _count, _sum, _squared_sum
    cluster("models", "flight-delay-prod-3f0c")    # service/models/flight-delay-prod-3f0c/8080/http

Our own counters lie in a database, so each replica of the controller shows the same numbers: a reader takes the largest
of them, never their sum. Envoy's replicas, and whatever publishes a metric of a user's, count for themselves: these
are summed.

Sources: Envoy's documentation, "Cluster manager statistics", "HTTP connection manager statistics" and "Statistics";
Envoy Gateway's, "EnvoyProxy", `mergeBackends`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping

from platforms.kubernetes.names import PORT
from rollout.core.catalogue import OWN

REQUESTS = "envoy_cluster_upstream_rq_xx"
"""Answers of a cluster by the class of their status. A series is born with its first answer."""
LATENCY = "envoy_cluster_upstream_rq_time_bucket"
"""How many answers took no longer than `le` milliseconds. Envoy adds to it every five seconds only."""
ANSWERED = "envoy_http_downstream_rq_xx"
"""What a listener answered, by the class of the status, whoever made the answer."""
UPTIME = "envoy_server_uptime"
"""Since when an Envoy counts, in seconds; up to five seconds old."""
UP = "up"
"""A sample of each scrape: 1, or 0 where it failed."""
CLUSTER, CLASS, LISTENER, EDGE = (
    "envoy_cluster_name",
    "envoy_response_code_class",
    "envoy_http_conn_manager_prefix",
    "le",
)
"""Labels of Envoy's metrics."""
INSTANCE = "instance"
"""The label of what was scraped: host and port."""
NOT_OF_USERS = "admin|eg-.*"
"""Listeners that no user's request reaches: Envoy's own, and those of Envoy Gateway for probes and metrics."""
INTERNAL = "xds_cluster|prometheus_stats|wasm_cluster|httproute/.*-mirror-[0-9]+"
"""Clusters whose answers no user gets: by which an Envoy asks for what itself needs, and copies requests."""
NAMESPACE, ENDPOINT, VARIANT, ROLLOUT = "namespace", "endpoint", "variant", "rollout"
"""Labels of our own metrics, and of the alerts. Where Prometheus itself labels what it scrapes by the namespace of the
pod, that is the same one: a controller tells of its own namespace alone."""
TICKED, PROBED = f"{OWN}_tick_time_seconds", f"{OWN}_probe_time_seconds"
"""When the controller last carried a rollout on, and when the endpoint was last probed, epoch seconds."""

EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000)
"""The upper bounds of Envoy's buckets in milliseconds, as it has them by itself."""


def series(name: str, namespace: str = OWN) -> str:
    """How the series of a metric begin, by its name in CloudWatch: `LogLoss` is `modelstack_log_loss`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"\W", "_", f"{namespace}_{snake}".lower())


def whose(namespace: str, endpoint: str) -> dict[str, str]:
    """The labels of all that is of an endpoint. Another namespace may have one of the same name."""
    return {NAMESPACE: namespace, ENDPOINT: endpoint}


def cluster(namespace: str, workload: str, port: int = PORT) -> str:
    """What Envoy calls the backends of a Service, where Envoy Gateway merges backends."""
    return f"service/{namespace}/{workload}/{port}/http"


def copies(namespace: str, route: str) -> tuple[str, ...]:
    """What Envoy calls the backend of a mirror: by the number of the rule that copies, which merges with no other.

    That rule comes after those of champion and challenger, and of up to two workloads that served before.
    """
    return tuple(f"httproute/{namespace}/{route}/rule/{number}-mirror-0" for number in _COPYING)


_COPYING = (2, 3, 4)


def edge_at_or_above(milliseconds: float, edges: tuple[float, ...] = EDGES) -> float | None:
    """The bound of a bucket that a threshold is moved to, as counts are exact there alone; None above the last one."""
    ordered = sorted(edges)
    at = bisect_left(ordered, milliseconds * (1 - 1e-9))  # a bound that was converted to another unit and back is one
    return ordered[at] if at < len(ordered) else None


def edge_pattern(edge: float) -> str:
    """A pattern of the label of a bucket: Prometheus 3 writes 100 as 100.0."""
    text = f"{edge:.12g}".replace(".", r"\.")
    return text if r"\." in text else rf"{text}(\.0)?"


def matched(name: str, equal: Mapping[str, str] | None = None, like: Mapping[str, str] | None = None) -> str:
    """A selector of series: labels that are equal, and labels that match a pattern."""
    exact = [f"{label}={quoted(value)}" for label, value in (equal or {}).items()]
    patterns = [f"{label}=~{quoted(pattern)}" for label, pattern in (like or {}).items()]
    return f"{name}{{{','.join([*exact, *patterns])}}}"


def any_of(values: tuple[str, ...]) -> str:
    """A pattern that matches these values and no others."""
    return "|".join(re.sub(r"([.+*?()\[\]{}^$|\\])", r"\\\1", value) for value in values)


def quoted(text: str) -> str:
    """A string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
