"""What watches over an endpoint: rules of Prometheus on each variant, the objective and the controller."""

from __future__ import annotations

import math
from typing import Any

import pulumi
import yaml

from infra.config.kubernetes_settings import ReceiverSettings
from infra.config.settings import Settings
from infra.kubernetes.site import Site
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import Objective, rules
from platforms.kubernetes import alarm_rules, alertmanager, objective_rules
from platforms.kubernetes.alertmanager import Receiver
from platforms.kubernetes.metrics import cluster
from platforms.kubernetes.names import Names
from platforms.kubernetes.rule import rule_file
from platforms.kubernetes.watched import Watched
from services.declaration.alarm_thresholds import evidence

EVERY = 2
"""Seconds between two evaluations of the alarms of a variant."""
_MINUTE = 60


class Rules(pulumi.ComponentResource):
    """What watches over an endpoint.

    Creates:
        The alarms of every variant that is declared, of the objective and of the controller, as one PrometheusRule; and
        whom they tell, as an AlertmanagerConfig. Without an operator, ConfigMaps with a rule file and with the file of
        an Alertmanager.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        plan: ServingPlan,
        settings: Settings,
        objective: Objective,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the rules.

        Args:
            name: The logical name.
            site: Where they are.
            plan: Which variants are declared.
            settings: The stack's config.
            objective: What users are promised.
            opts: Options of the component.
        """
        super().__init__("modelstack:kubernetes:Rules", name, None, opts)
        content = rule_file(groups(site.names, plan, settings, objective))
        asked, prefix, namespace = site.settings, site.names.prefix, site.names.namespace
        child = pulumi.ResourceOptions(parent=self)
        rings, tells = f"{prefix}-rules", f"{prefix}-alerts"
        told = {"page": _receiver(asked.alerts.page), "ticket": _receiver(asked.alerts.ticket)}
        if asked.rules.kind == "prometheus_rule":
            rules = _of_operator("v1", "PrometheusRule", rings, content)
            whom = alertmanager.alertmanager_config(prefix, namespace, **told)
            alerts = _of_operator("v1alpha1", "AlertmanagerConfig", tells, whom)
        else:
            rules = _file(rings, site.names.file, content)
            alerts = _file(tells, site.names.file, alertmanager.config(prefix, namespace, **told))
        site.declare("rules", rules, child, labels=asked.rules.labels)
        site.declare("alerts", alerts, child, labels=asked.alerts.labels)
        self.register_outputs({"rules": rings, "alerts": tells})


def _of_operator(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    version = f"monitoring.coreos.com/{version}"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _file(name: str, file: str, content: dict[str, Any]) -> dict[str, Any]:
    data = {f"{file}.yml": yaml.safe_dump(content, sort_keys=False, width=1000)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _receiver(settings: ReceiverSettings | None) -> Receiver | None:
    return Receiver(tuple(settings.email), settings.webhook_secret) if settings is not None else None


def groups(names: Names, plan: ServingPlan, settings: Settings, objective: Objective) -> list[dict[str, Any]]:
    """The groups of rules: the alarms of variants and of the controller, and those on the objective. Pure.

    Args:
        names: The stack's names.
        plan: Which variants are declared.
        settings: The stack's config.
        objective: What users are promised.
    """
    monitoring, rollout, alpha = settings.monitoring, settings.trial, settings.rollout.judge.alpha
    variants: dict[str, tuple[str, ...]] = {}
    for item in plan.releases:
        served = cluster(names.namespace, item.config_name)
        variants[item.variant] = (*variants.get(item.variant, ()), served)
    watched = Watched(
        namespace=names.namespace,
        endpoint=names.prefix,
        variants=variants,
        every_seconds=EVERY,
        period_seconds=monitoring.period_seconds,
        max_5xx_rate=monitoring.max_5xx_rate,
        max_p99_ms=monitoring.max_p99_ms,
        nats=evidence(_looks((rollout.max_minutes + rollout.watch_minutes) * 60, EVERY), alpha),
        probe_minutes=settings.slo.probe_minutes,
        sweep_minutes=monitoring.drift_minutes,
    )
    every = min(monitoring.period_seconds, _MINUTE)
    windows = len(rules(objective, every))
    burning = evidence(windows * _looks(objective.window_seconds, every), alpha)
    return [alarm_rules.group(watched), objective_rules.group(watched, objective, every=every, nats=burning)]


def _looks(seconds: float, every: int) -> int:
    """How often rules are evaluated in a stretch of time, both its ends included."""
    return math.floor(seconds / every) + 1
