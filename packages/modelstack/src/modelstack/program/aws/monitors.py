"""Monitoring of releases: alarms, drift, labels, the objective, a dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.objectives.slo import BurnRule, Objective, rules, still
from modelstack.platforms.aws.evaluations import evaluations
from modelstack.platforms.aws.names import CAPTURE, LABELS, MONITORING
from modelstack.program.aws import policies
from modelstack.program.aws.alarms import budget_alarms, functions_alarm, silence_alarm, variant_alarm
from modelstack.program.aws.arrivals import arrivals
from modelstack.program.aws.dashboard import body
from modelstack.program.aws.function import Function, dead_letters
from modelstack.program.aws.site import Site
from modelstack.program.config.settings import Settings
from modelstack.program.options import Opts
from modelstack.program.plan.releases import ServingPlan
from modelstack.services.declaration.alarm_thresholds import evidence
from modelstack.services.declaration.alarms import advance_alarm, objective_alarms, probe_alarm, variant_alarms

TIMEOUT = 300
"""Seconds of a drift function call."""
ALPHA = 0.05
"""The probability that an endpoint within its objective fires a budget alarm by chance in the objective's window."""
_MOST = 3
"""Variants per alarm: it reads at most ten metrics, three per variant."""
SWEEP_MINUTES = 5
FOLDERS = (CAPTURE, LABELS)


class Monitoring(pulumi.ComponentResource):
    """Monitoring of releases.

    Creates:
        Per variant alarms on failures, slow requests, drift and concept; the drift function; the path of labels;
        the alarms on the objective and the probe; an alarm on failing functions; a dashboard.

    All alarms notify the alerts topic. What follows depends on whether the variant is the champion then.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        plan: ServingPlan,
        settings: Settings,
        objective: Objective,
        dashboard: bool = True,
        opts: Opts = None,
    ) -> None:
        super().__init__("modelstack:index:Monitoring", name, None, opts)
        monitoring, rollout, child = settings.monitoring, settings.rollout, pulumi.ResourceOptions(parent=self)
        period, minutes = monitoring.period_seconds, settings.slo.probe_minutes
        often = evaluations(60 * (rollout.max_minutes + rollout.watch_minutes), period)
        watch = settings.watch(evidence(often, rollout.judge.alpha))
        for variant in dict.fromkeys(item.variant for item in plan.releases):
            for spec in variant_alarms(watch, variant):
                variant_alarm(site, spec, period, child)
        measures = {MONITORING: json.dumps(settings.measuring().as_dict())}
        self._drift(site, monitoring.drift_minutes, measures)
        labels(site, measures, child)
        finest = min(period, 60)
        windows = rules(objective, finest)
        silent = silence_alarm(site, probe_alarm(minutes) if minutes else advance_alarm(), child)
        budget_alarms(
            site,
            objective_alarms(objective, windows, still(windows, finest), burn_evidence(objective, windows)),
            counted(plan),
            silent if minutes else None,
            child,
        )
        functions_alarm(site, monitoring.drift_minutes, child)
        if dashboard:
            aws.cloudwatch.Dashboard(
                "dashboard",
                dashboard_name=site.names.dashboard,
                dashboard_body=body(site.names, settings.panels(objective)),
                opts=child,
            )
        self.register_outputs({"dashboard": site.names.dashboard if dashboard else None})

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
    """The variants to count: serving, target, and others that may still get traffic.

    The order is the same after a promotion, so that it changes no alarm.
    """
    first = {plan.serving: 0, plan.target: 1}
    ordered = sorted(plan.releases, key=lambda item: first.get(item.config_name, 2))
    return tuple(sorted(list(dict.fromkeys(item.variant for item in ordered))[:_MOST]))


def burn_evidence(objective: Objective, windows: Iterable[BurnRule]) -> float:
    """Nats that the long windows need so that none fires by chance in the objective's window, except with ALPHA.

    By the union bound over all their evaluations, of failures and of slowness.
    """
    return evidence(sum(evaluations(objective.window_seconds, window.seconds) for window in windows), ALPHA)


def labels(site: Site, measures: Mapping[str, str], opts: pulumi.ResourceOptions) -> None:
    """Declare the labels function, with a dead-letter queue for files that it could not process.

    It is called on a schedule and for each file under `capture/` and `labels/` of the bucket.
    """
    names, bucket = site.names, site.registry.bucket
    queue = dead_letters("labels-dead-letters", names.labels_dead_letters, opts, policies.labels_dead_letters(names))
    function = Function(
        "labels",
        site,
        does="Check captured answers, join late labels with them, and put how valid and how right each was.",
        may=site.allowed(policies.labels),
        timeout=300,
        dead_letters=queue.arn,
        environment=measures,
        opts=opts,
    )
    function.runs_every(SWEEP_MINUTES)
    permission = function.may_be_called_by("s3", bucket.arn)
    aws.s3.BucketNotification(
        "files",
        bucket=bucket.bucket,
        eventbridge=True,  # for the drift function: a bucket has one notification resource
        lambda_functions=[
            aws.s3.BucketNotificationLambdaFunctionArgs(
                id=folder,
                lambda_function_arn=function.function.arn,
                events=["s3:ObjectCreated:*"],
                filter_prefix=f"{folder}/",
            )
            for folder in FOLDERS
        ],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[permission])),
    )
