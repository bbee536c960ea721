"""How the releases are doing: alarms, drift, labels, the objective, a dashboard."""

from __future__ import annotations

import math
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.alarm import LOOKED_BACK, Query, declared, read
from infra.aws.arrivals import arrivals
from infra.aws.dashboard import dashboard
from infra.aws.function import Function
from infra.aws.labels import Labels
from infra.aws.own_alarms import functions_fail
from infra.aws.probe import probe
from infra.aws.site import Site
from infra.aws.slo import Slo
from infra.config.settings import Settings
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import Objective
from monitoring.published import DRIFT_EVIDENCE
from platforms.aws.evaluations import evaluations, ratio
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, SAGEMAKER, place, slower_than
from rollout.core.catalogue import OWN
from services.declaration.alarm_names import DRIFT, FAILS, SLOW
from services.declaration.alarm_thresholds import evidence

MAY_BE_SLOW = 0.01
"""Share of requests that may take longer than `max_p99_ms`."""
TIMEOUT = 300
"""The longest that the drift function may take, in seconds."""


class Monitoring(pulumi.ComponentResource):
    """How the releases are doing.

    Creates:
        Per variant an alarm on its failures, its slow requests, its drift and its concept; the function that measures
        drift as captured files arrive, and sweeps on a schedule; the path of labels; the probe; the alarms on the
        objective; one alarm for all functions that do not do their work; a dashboard of traffic, latency, errors,
        drift and error budget.

    Champion and challenger have the same alarms, so a promotion changes none. All tell the alerts topic; what follows
    depends on which of the two the variant is then. Those that can roll a release back ring only beyond chance.
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
            settings: When an alarm rings, how long one can roll a release back, and how sure it must be.
            objective: What users are promised.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Monitoring", name, None, opts)
        watch, rollout, child = settings.monitoring, settings.rollout, pulumi.ResourceOptions(parent=self)
        self._names, self._settings, self._alerts, self._born = site.names, watch, site.alerts, site.born
        often = evaluations(60 * (rollout.max_minutes + rollout.watch_minutes), watch.period_seconds)
        self._nats = evidence(often, rollout.judge.alpha)
        for variant in dict.fromkeys(item.variant for item in plan.releases):
            self._alarms(variant)
        self._drift(site)
        Labels(site, plan=plan, settings=watch, opts=child)
        every = settings.slo.probe_minutes
        Slo(
            site.names,
            plan=plan,
            objective=objective,
            finest=min(watch.period_seconds, 60),
            silent=probe(site, every, child) if every else None,
            alerts=site.alerts,
            born=site.born,
            opts=child,
        )
        functions_fail(site, watch, child)
        self.dashboard = aws.cloudwatch.Dashboard(
            "dashboard",
            dashboard_name=site.names.dashboard,
            dashboard_body=dashboard(site.names, watch.panels(objective)),
            opts=child,
        )
        self.register_outputs({"dashboard": self.dashboard.dashboard_name})

    def _drift(self, site: Site) -> None:
        child, settings = pulumi.ResourceOptions(parent=self), self._settings
        function = Function(
            "drift",
            site,
            does="Measure how far captured requests have moved from the training data.",
            may=site.allowed(policies.drift),
            timeout=TIMEOUT,
            environment={
                "DRIFT_FALSE_ALARMS": str(settings.drift_false_alarms),
                "DRIFT_MINUTES": str(settings.drift_minutes),
            },
            opts=child,
        )
        function.runs_every(settings.drift_minutes)
        arrivals(site.names, function, TIMEOUT, child)

    def _alarms(self, variant: str) -> None:
        settings, period, of = self._settings, self._settings.period_seconds, place(self._names.endpoint, variant)

        def counted(id_: str, metric: str, stat: str) -> Query:
            return read(id_, SAGEMAKER, metric, of, stat=stat, period=period)

        self._share(
            variant,
            FAILS,
            settings.max_5xx_rate,
            [counted("part", FAILED, "Sum"), counted("whole", INVOCATIONS, "Sum")],
            text=f"{variant} answers more than {settings.max_5xx_rate:.1%} of its requests with a 5XX, beyond chance.",
        )
        self._share(
            variant,
            SLOW,
            MAY_BE_SLOW,
            [
                counted("part", LATENCY, slower_than(settings.max_p99_ms)),
                counted("whole", LATENCY, "SampleCount"),
            ],
            text=f"{variant} takes longer than {settings.max_p99_ms:g} ms for more than {MAY_BE_SLOW:.0%} of its "
            "requests, beyond chance.",
            evaluation_periods=3,
            datapoints_to_alarm=2,
        )
        self._alarm(
            variant,
            DRIFT,
            text=f"{variant} is asked about other data than it was trained on, as surely as at most "
            f"{settings.drift_false_alarms:g} false alarms a year allow.",
            # Each sweep tells the evidence of what serves, so a drift lasts from file to file, and ends with a release
            # that serves no more. That it cannot be measured is a matter of `own_alarms`.
            missing="notBreaching",
            queries=[read("evidence", OWN, DRIFT_EVIDENCE, of, stat="Maximum", period=period, watched=True)],
            evaluation_periods=max(1, min(math.ceil(2 * 60 * settings.drift_minutes / period), LOOKED_BACK // period)),
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
        )

    def _alarm(self, variant: str, measure: str, **rule: Any) -> None:
        opts = pulumi.ResourceOptions(parent=self)
        declared(
            self._names,
            variant,
            measure,
            severity="ticket",
            born=self._born,
            alarm_actions=[self._alerts],
            opts=opts,
            **rule,
        )

    def _share(self, variant: str, measure: str, tolerated: float, counts: list[Query], **rule: Any) -> None:
        """An alarm on the share of one count, `part`, in another, `whole`, where it is beyond chance."""
        share = ratio(tolerated, self._nats)
        rate = Query(id="rate", expression=share, label="share beyond chance", return_data=True)
        self._alarm(
            variant,
            measure,
            missing="notBreaching",  # no requests: nothing failed, and the judge never promotes on that
            queries=[*counts, rate],
            threshold=tolerated,
            **rule,
        )
