"""Config checks that only stacks on Kubernetes have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstack.platforms.kubernetes.metrics import EDGES_APART
from modelstack.program.config.problems import Problem
from modelstack.program.config.promotion_settings import ACCOUNT
from modelstack.program.config.whole_numbers import whole

if TYPE_CHECKING:  # Settings imports this module through the platform
    from modelstack.program.config.settings import Settings

_EVERYBODY = {"system:authenticated", "system:unauthenticated"}
_AWS_RETENTION = {
    "versions_days": "a cluster keeps no versions of objects; allowed is to leave it out",
    "log_days": "how long logs are kept is the cluster's; allowed is to leave it out",
}


def problems(settings: Settings, _stack: str) -> list[Problem]:
    """Every wrong value, with what is allowed."""
    return [
        *_of_kubernetes(settings),
        *_of_alerts(settings),
        *_of_retention(settings),
        *_of_latency(settings),
        *settings.mlflow.of_cluster(),
        *settings.guard_problems(),
    ]


def _of_alerts(settings: Settings) -> list[Problem]:
    alerts, wrong = settings.kubernetes.alerts, list[Problem]()
    why = "without the Prometheus operator, Alertmanager reads no Secret; allowed is null, and a route of your own"
    for name, receiver in (("page", alerts.page), ("ticket", alerts.ticket)):
        if settings.kubernetes.rules.kind == "config_map" and receiver is not None and receiver.webhook_secret:
            wrong.append(Problem(f"kubernetes.alerts.{name}.webhook_secret", why, receiver.webhook_secret))
    return wrong


def _of_retention(settings: Settings) -> list[Problem]:
    given = {name: why for name, why in _AWS_RETENTION.items() if name in settings.retention.model_fields_set}
    return [Problem(f"retention.{name}", why, getattr(settings.retention, name)) for name, why in given.items()]


def _of_latency(settings: Settings) -> list[Problem]:
    why = f"the gateway's latency buckets are up to {EDGES_APART:.0%} apart; allowed is 0, or at least {EDGES_APART:g}"
    metrics = [(name, item.of(name)) for name, item in settings.rollout.judge.metrics.items()]
    return [
        Problem(f"rollout.judge.metrics.{name}.margin", why, metric.margin)
        for name, metric in metrics
        if metric.kind == "quantile" and 0 < metric.margin < EDGES_APART
    ]


def _of_kubernetes(settings: Settings) -> list[Problem]:
    cluster, wrong = settings.kubernetes, list[Problem]()
    for name, such in (
        ("registry", "registry.example.org/models"),
        ("prometheus", "http://prometheus.monitoring:9090"),
    ):
        if getattr(cluster, name) is None:
            wrong.append(Problem(f"kubernetes.{name}", f"a stack on a cluster needs it, such as {such}", missing=True))
    gateway = cluster.gateway
    if (gateway.name is None) == (gateway.class_name is None):
        why = "allowed is one of both: class, of a Gateway that the stack makes, or name, of one that is there"
        wrong.append(Problem("kubernetes.gateway", why, whole(gateway.model_dump(exclude_none=True, by_alias=True))))
    if gateway.name is not None and gateway.tls_secret is not None:
        why = "the certificate of a Gateway that is there is its owner's; allowed is null"
        wrong.append(Problem("kubernetes.gateway.tls_secret", why, gateway.tls_secret))
    elif gateway.tls_secret is not None and gateway.host is None:
        why = "a certificate is for a host, and kubernetes.gateway.host is null; allowed is null, or both"
        wrong.append(Problem("kubernetes.gateway.tls_secret", why, gateway.tls_secret))
    if cluster.database_secret is None and settings.serving.capture_percent:
        why = "kubernetes.database_secret is null, so there is no place for what is captured; allowed is 0"
        wrong.append(Problem("serving.capture_percent", why, settings.serving.capture_percent))
    most = settings.serving.max_instance_count
    if most is not None and most <= settings.serving.instance_count:
        why = f"serving.instance_count, the least, is {settings.serving.instance_count}; allowed is more, or null"
        wrong.append(Problem("serving.max_instance_count", why, most))
    if "instance_type" in settings.serving.model_fields_set:
        why = "a cluster has no instance types; allowed are cpu and memory"
        wrong.append(Problem("serving.instance_type", why, settings.serving.instance_type))
    if settings.pipeline.remote:
        why = "a stack on a cluster has no SageMaker; allowed is local"
        wrong.append(Problem("pipeline.engine", why, settings.pipeline.engine))
    if settings.retraining.enabled:
        why = "on a cluster nothing is retrained yet; allowed is false"
        wrong.append(Problem("retraining.enabled", why, True))
    if settings.registry.bucket is not None:
        why = "only stacks on AWS have it; allowed is null, and kubernetes.bucket"
        wrong.append(Problem("registry.bucket", why, settings.registry.bucket))
    if takers := [one for one in settings.promotion.to if ACCOUNT.fullmatch(one) or one in _EVERYBODY]:
        why = "a cluster knows no accounts; allowed are groups of its users, and not everybody"
        wrong.append(Problem("promotion.to", why, whole(takers)))
    return wrong
