"""How every alarm is declared, and what it says: how urgent it is, what has happened, and which page helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from monitoring.objectives.slo import Severity
from platforms.aws.descriptions import Description
from platforms.aws.names import Names

RUNBOOK = "docs/how-to/runbook.md"
MEANINGS = "what-each-alarm-means"
LOOKED_BACK = 86_400  # seconds that CloudWatch looks back in periods of less than an hour

Query = aws.cloudwatch.MetricAlarmMetricQueryArgs


def told(text: str, severity: Severity, section: str = MEANINGS) -> dict[str, Any]:
    """The description and the tags of an alarm, as arguments of its resource.

    Args:
        text: What has happened, in sentences.
        severity: How urgent it is: `page` wakes somebody, `ticket` waits for the day.
        section: The anchor of the section of the runbook that says what to do.
    """
    return {
        "alarm_description": str(Description(severity, text, f"{RUNBOOK}#{section}")),
        "tags": {"severity": severity},
    }


def declared(
    names: Names,
    subject: str,
    measure: str,
    *,
    text: str,
    severity: Severity,
    section: str = MEANINGS,
    missing: str,
    opts: pulumi.ResourceOptions,
    **rule: Any,
) -> aws.cloudwatch.MetricAlarm:
    """Declare an alarm on metrics. Unless the rule says otherwise, one period above the threshold rings it.

    Args:
        names: The stack's names.
        subject: The variant or the function that it is about.
        measure: What of that it is on.
        text: What has happened, in sentences.
        severity: How urgent it is.
        section: The anchor of the section of the runbook.
        missing: What missing data means.
        opts: Options of the alarm.
        rule: Further arguments of the resource.
    """
    usual: dict[str, Any] = {
        "comparison_operator": "GreaterThanThreshold",
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
    }
    return aws.cloudwatch.MetricAlarm(
        f"{subject}-{measure}",
        name=names.alarm(subject, measure),
        **told(text, severity, section),
        treat_missing_data=missing,
        opts=opts,
        **(usual | rule),
    )


def read(id_: str, namespace: str, metric: str, dimensions: Mapping[str, str], *, stat: str, period: int) -> Query:
    """A metric that an alarm reads, for its expressions; `period` in seconds."""
    return Query(
        id=id_,
        return_data=False,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace, metric_name=metric, dimensions=dict(dimensions), stat=stat, period=period
        ),
    )
