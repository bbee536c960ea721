"""Alarms of an endpoint as Prometheus rules."""

from __future__ import annotations

import math
from typing import Any

import pulumi
import yaml

from modelstack.monitoring.objectives.slo import Objective, rules
from modelstack.platforms.kubernetes import alarm_rules, alertmanager, objective_rules
from modelstack.platforms.kubernetes.alertmanager import Receiver
from modelstack.platforms.kubernetes.metrics import cluster
from modelstack.platforms.kubernetes.names import Names
from modelstack.platforms.kubernetes.rule import Watched, rule_file
from modelstack.program.config.kubernetes_settings import ReceiverSettings
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts
from modelstack.program.plan.releases import ServingPlan
from modelstack.services.declaration.alarm_thresholds import evidence

EVERY = 2
"""Seconds between two evaluations of a variant's alarms."""
_MINUTE = 60


class Rules(pulumi.ComponentResource):
    """Alarms of an endpoint.

    Creates:
        The alarms of every declared variant, of the objective and of the controller, as one PrometheusRule, and their
        receivers as an AlertmanagerConfig. Without an operator: ConfigMaps with a rule file and an Alertmanager file.
    """

    def __init__(
        self, name: str, site: Site, *, plan: ServingPlan, settings: Settings, objective: Objective, opts: Opts = None
    ) -> None:
        super().__init__("modelstack:kubernetes:Rules", name, None, opts)
        content = rule_file(groups(site.names, plan, settings, objective))
        wanted, prefix, namespace = site.settings, site.names.prefix, site.names.namespace
        child = pulumi.ResourceOptions(parent=self)
        alarms, receivers = f"{prefix}-rules", f"{prefix}-alerts"
        people = {"page": _receiver(wanted.alerts.page), "ticket": _receiver(wanted.alerts.ticket)}
        if wanted.rules.kind == "prometheus_rule":
            rules = _of_operator("v1", "PrometheusRule", alarms, content)
            routes = alertmanager.alertmanager_config(prefix, namespace, **people)
            alerts = _of_operator("v1alpha1", "AlertmanagerConfig", receivers, routes)
        else:
            rules = _file(alarms, site.names.file, content)
            alerts = _file(receivers, site.names.file, alertmanager.config(prefix, namespace, **people))
        site.declare("rules", rules, child, labels=wanted.rules.labels)
        site.declare("alerts", alerts, child, labels=wanted.alerts.labels)
        self.register_outputs({"rules": alarms, "alerts": receivers})


def _of_operator(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    version = f"monitoring.coreos.com/{version}"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _file(name: str, file: str, content: dict[str, Any]) -> dict[str, Any]:
    data = {f"{file}.yml": yaml.safe_dump(content, sort_keys=False, width=1000)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _receiver(settings: ReceiverSettings | None) -> Receiver | None:
    return Receiver(tuple(settings.email), settings.webhook_secret) if settings is not None else None


def groups(names: Names, plan: ServingPlan, settings: Settings, objective: Objective) -> list[dict[str, Any]]:
    """The rule groups of variants and controller, and of the objective."""
    monitoring, rollout, alpha = settings.monitoring, settings.trial, settings.rollout.judge.alpha
    variants: dict[str, tuple[str, ...]] = {}
    for item in plan.releases:
        served = cluster(names.namespace, item.config_name)
        variants[item.variant] = (*variants.get(item.variant, ()), served)
    nats = evidence(_evaluations((rollout.max_minutes + rollout.watch_minutes) * 60, EVERY), alpha)
    watch = vars(settings.watch(nats))
    watched = Watched(namespace=names.namespace, endpoint=names.prefix, variants=variants, every_seconds=EVERY, **watch)
    every = min(monitoring.period_seconds, _MINUTE)
    windows = len(rules(objective, every))
    burning = evidence(windows * _evaluations(objective.window_seconds, every), alpha)
    return [alarm_rules.group(watched), objective_rules.group(watched, objective, every=every, nats=burning)]


def _evaluations(seconds: float, every: int) -> int:
    """Both ends included."""
    return math.floor(seconds / every) + 1
