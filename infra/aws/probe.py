"""What asks the endpoint whether it answers, so that silence is told from health."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.alarm import declared
from infra.aws.function import Function
from infra.aws.site import Site
from monitoring.objectives.slo import OBJECTIVE
from monitoring.published import PROBE_SUCCESS
from platforms.aws.metrics import place
from rollout.core.catalogue import OWN
from services.declaration.alarm_names import PROBE, SILENT

_PROBES = 3
"""So many in a row must fail, or not have run."""
_WARM_UP = 30
"""Minutes that a new endpoint and its first release may take; the first probes end it."""


def probe(site: Site, minutes: int, opts: pulumi.ResourceOptions) -> aws.cloudwatch.MetricAlarm:
    """Declare what asks the endpoint whether it answers.

    That is the probe function, on a schedule; and an alarm that rings when its probes fail, and when none ran. The
    alarm tells nobody by itself: the one that pages for the error budget asks about it.

    Args:
        site: What all functions of the stack have; the registry has the packages, with the request that is asked.
        minutes: How often it asks.
        opts: Options of each resource.

    Returns:
        The alarm.
    """
    names = site.names
    function = Function(
        "probe",
        site,
        does="Ask the endpoint whether it answers.",
        may=site.allowed(policies.probe),
        timeout=60,
        opts=opts,
    )
    function.runs_every(minutes)
    return declared(
        names,
        PROBE,
        SILENT,
        text=f"The last {_PROBES} probes of {names.endpoint} had no sound answer, or no probe ran: nobody can say that "
        f"it is well. It tells nobody by itself: {names.alarm(OBJECTIVE, 'page')} does.",
        severity="page",
        section="the-endpoint-is-silent",
        missing="breaching",  # a probe that does not run says as little as one that fails
        namespace=OWN,
        metric_name=PROBE_SUCCESS,
        dimensions=place(names.endpoint),
        statistic="Maximum",
        period=60 * minutes,
        evaluation_periods=_PROBES,
        datapoints_to_alarm=_PROBES,
        threshold=1,
        comparison_operator="LessThanThreshold",
        warm_up_configuration=aws.cloudwatch.MetricAlarmWarmUpConfigurationArgs(
            warm_up_period_duration_in_minutes=max(_WARM_UP, (_PROBES + 1) * minutes)
        ),
        opts=opts,
    )
