"""How the releases are doing: alarms, drift, labels, the objective, a dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.alarms import budget_alarms, functions_alarm, silence_alarm, variant_alarm
from infra.aws.arrivals import arrivals
from infra.aws.dashboard import dashboard
from infra.aws.function import Function
from infra.aws.labels import Labels
from infra.aws.probe import probe
from infra.aws.site import Site
from infra.config.settings import Settings
from infra.plan.measured import measuring
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import BurnRule, Objective, rules, still
from platforms.aws.evaluations import evaluations
from platforms.aws.names import MONITORING
from services.declaration.alarm_thresholds import evidence
from services.declaration.alarms import objective_alarms, probe_alarm, variant_alarms

TIMEOUT = 300
"""The longest that the drift function may take, in seconds."""
ALPHA = 0.05
"""How likely a service that keeps its objective fires one of the alarms by chance in the whole of its window."""
_MOST = 3
"""Versions that are counted: an alarm reads ten metrics at most, and three of each version."""


class Monitoring(pulumi.ComponentResource):
    """How the releases are doing.

    Creates:
        Per variant an alarm on its failures, its slow requests, its drift and its concept; the function that measures
        drift as captured files arrive, and sweeps on a schedule; the path of labels; the probe; the alarms on the
        objective; one alarm for all functions that do not do their work; a dashboard of traffic, latency, errors,
        drift and error budget.

    All alarms notify the alerts topic; what follows depends on whether the variant is the champion then.
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
        """Declare the monitors.

        Args:
            name: The logical name.
            site: What all functions of the stack have.
            plan: Which releases are declared.
            settings: When an alarm fires, how long one can roll a release back, and how sure it must be.
            objective: What users are promised.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Monitoring", name, None, opts)
        monitoring, rollout, child = settings.monitoring, settings.rollout, pulumi.ResourceOptions(parent=self)
        period, minutes = monitoring.period_seconds, settings.slo.probe_minutes
        often = evaluations(60 * (rollout.max_minutes + rollout.watch_minutes), period)
        watch = settings.watch(evidence(often, rollout.judge.alpha))
        for variant in dict.fromkeys(item.variant for item in plan.releases):
            for spec in variant_alarms(watch, variant):
                variant_alarm(site, spec, period, child)
        measures = {MONITORING: json.dumps(measuring(settings).as_dict())}
        self._drift(site, monitoring.drift_minutes, measures)
        Labels(site, measures=measures, opts=child)
        finest = min(period, 60)
        windows = rules(objective, finest)
        if minutes:
            probe(site, minutes, child)
        budget_alarms(
            site,
            objective_alarms(objective, windows, still(windows, finest), burn_evidence(objective, windows)),
            counted(plan),
            silence_alarm(site, probe_alarm(minutes), child) if minutes else None,
            child,
        )
        functions_alarm(site, monitoring.drift_minutes, child)
        self.dashboard = aws.cloudwatch.Dashboard(
            "dashboard",
            dashboard_name=site.names.dashboard,
            dashboard_body=dashboard(site.names, monitoring.panels(objective)),
            opts=child,
        )
        self.register_outputs({"dashboard": self.dashboard.dashboard_name})

    def _drift(self, site: Site, minutes: int, measures: Mapping[str, str]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        function = Function(
            "drift",
            site,
            does="Measure how far captured requests have moved from the training data.",
            may=site.allowed(policies.drift),
            timeout=TIMEOUT,
            environment=measures,
            opts=child,
        )
        function.runs_every(minutes)
        arrivals(site.names, function, TIMEOUT, child)


def counted(plan: ServingPlan) -> tuple[str, ...]:
    """The variants whose requests are counted: what serves, what is to serve, and what may yet get traffic.

    In an order that a promotion does not change, so that it changes no alarm.
    """
    first = {plan.serving: 0, plan.target: 1}
    ordered = sorted(plan.releases, key=lambda item: first.get(item.config_name, 2))
    return tuple(sorted(list(dict.fromkeys(item.variant for item in ordered))[:_MOST]))


def burn_evidence(objective: Objective, windows: Iterable[BurnRule]) -> float:
    """What the long windows need, in nats, so that none fires by chance in the objective's window but with ALPHA.

    By the union bound over all their evaluations, of failures and of slowness.
    """
    return evidence(sum(evaluations(objective.window_seconds, window.seconds) for window in windows), ALPHA)
