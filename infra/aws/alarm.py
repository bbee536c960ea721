"""How every alarm is declared, and what it says: how urgent it is, what has happened, and which page helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    queries: Sequence[Query] | None = None,
    born: pulumi.Input[int] | None = None,
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
        queries: What it reads and computes; one of them is what it watches.
        born: When the stack was made, epoch seconds: periods that began before do not count. None: all count.
        opts: Options of the alarm.
        rule: Further arguments of the resource.
    """
    usual: dict[str, Any] = {
        "comparison_operator": "GreaterThanThreshold",
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
    }
    if queries:
        usual["metric_queries"] = queries if born is None else _later_than(born, queries)
    return aws.cloudwatch.MetricAlarm(
        f"{subject}-{measure}",
        name=names.alarm(subject, measure),
        **told(text, severity, section),
        treat_missing_data=missing,
        opts=opts,
        **(usual | rule),
    )


def _later_than(born: pulumi.Input[int], queries: Sequence[Query]) -> list[Query]:
    """The same queries, and of what the alarm watches only the periods that began after a time.

    CloudWatch keeps what was measured of a stack that had this name before, with the same names and dimensions. Nothing
    that we watch is negative: the first comparison leaves out a period without a value, which EPOCH does not.

    Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics" (EPOCH, IF).
    """
    clock = next(str(query.id) for query in queries if query.metric)
    (watched,) = (query for query in queries if query.return_data)
    name = str(watched.id)
    later = pulumi.Output.format("IF({0} >= 0 AND EPOCH({1}) >= {2}, {0})", name, clock, born)
    told = Query(id="later", expression=later, label=watched.label or name, return_data=True)
    kept = Query(id=name, expression=watched.expression, metric=watched.metric, label=watched.label, return_data=False)
    return [told, *(kept if query is watched else query for query in queries)]


def read(
    id_: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    *,
    stat: str,
    period: int,
    watched: bool = False,
) -> Query:
    """A metric that an alarm reads, for its expressions or to watch it as it is; `period` in seconds."""
    return Query(
        id=id_,
        return_data=watched,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace, metric_name=metric, dimensions=dict(dimensions), stat=stat, period=period
        ),
    )
