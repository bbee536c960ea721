"""What watches over an endpoint: rules of Prometheus on each variant, the objective, and the controller itself."""

from __future__ import annotations

import math
from typing import Any

import pulumi
import yaml

from infra.config.settings import Settings
from infra.kubernetes.site import Site
from infra.plan.beyond_chance import evidence
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import Objective, rules
from platforms.kubernetes import alarm_rules, objective_rules
from platforms.kubernetes.metrics import cluster
from platforms.kubernetes.names import Names
from platforms.kubernetes.rule import rule_file
from platforms.kubernetes.watched import Watched

EVERY = 2
"""Seconds between two evaluations of the alarms of a variant."""
_MINUTE = 60


class Rules(pulumi.ComponentResource):
    """What watches over an endpoint.

    Creates:
        The alarms of every variant that is declared, of the objective and of the controller, as one PrometheusRule, or
        as a ConfigMap with a rule file where there is no operator.
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
        asked = site.settings.rules
        own = f"{site.names.prefix}-rules"
        manifest: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": own},
            "data": {f"{site.names.prefix}.yml": yaml.safe_dump(content, sort_keys=False, width=1000)},
        }
        if asked.kind == "prometheus_rule":
            manifest = {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {"name": own},
                "spec": content,
            }
        site.declare("rules", manifest, pulumi.ResourceOptions(parent=self), labels=asked.labels)
        self.register_outputs({"rules": own})


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
