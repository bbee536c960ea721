"""The two alarms on what acts and watches: one wakes somebody, the other waits for the day."""

from __future__ import annotations

import math

import pulumi
import pulumi_aws as aws

from infra.aws.alarm import told
from infra.aws.site import Site
from infra.config.settings import MonitoringSettings
from monitoring.labels.pairs import DELAY
from monitoring.objectives.slo import Severity
from platforms.aws.names import Names

LATE_MINUTES = 15
_LATE_FILES = 3
"""So many in one period must all be late: one or two that a person sends again are no backlog."""
_MINUTE, _PERIOD = 60, 180
_LONGEST = 86_400  # seconds that CloudWatch looks back in periods of less than an hour

Query = aws.cloudwatch.MetricAlarmMetricQueryArgs


def rollback_fails(site: Site, opts: pulumi.ResourceOptions) -> None:
    """Declare the alarm that pages when an alarm on a release was, or may be, not acted upon."""
    names = site.names
    # A minute: of a failure and a success after it in one period, CloudWatch sees the failure again when both are past.
    counts = [_failed(names, "rollback", _MINUTE), _waiting("alarms", names.dead_letters, _MINUTE)]
    _alarm(
        site,
        "rollback",
        f"An alarm may not have been acted upon: {names.function('rollback')} failed, or the alarm lies in "
        f"{names.dead_letters}. Look whether the champion has all traffic, then read the queue.",
        severity="page",
        section="read-a-dead-letter-queue",
        queries=[*counts, _most([str(query.id) for query in counts])],
        periods=1,
        opts=opts,
    )


def functions_fail(site: Site, settings: MonitoringSettings, opts: pulumi.ResourceOptions) -> None:
    """Declare the alarm that asks for a ticket when what carries trials on, or watches, does not do its work.

    It lasts for two sweeps of the drift function, which says once a sweep that drift cannot be measured.

    Args:
        site: What all functions of the stack have.
        settings: How often drift is measured.
        opts: Options of the alarm.
    """
    names, endpoint = site.names, {"EndpointName": site.names.endpoint}
    counts = [
        *(_failed(names, handler) for handler in site.scheduled),
        _waiting("captured_files", names.captures_dead_letters),
        _waiting("labelled_files", names.labels_dead_letters),
        _query("unmeasured", "modelstack", "DriftUnmeasured", endpoint, "Sum"),
    ]
    late = f"IF(delay > {60 * LATE_MINUTES} AND files >= {_LATE_FILES}, 1, 0)"
    _alarm(
        site,
        "functions",
        "A function, not that of the rollback, does not do its work. It failed; or an event that it could not handle "
        f"lies in {names.captures_dead_letters} or {names.labels_dead_letters}; or drift cannot be measured; or "
        f"captures and labels are counted more than {LATE_MINUTES} minutes after they came. The dashboard "
        f"{names.dashboard} shows which, the log {names.log} why.",
        severity="ticket",
        section="a-function-fails",
        queries=[
            *counts,
            _query("delay", "modelstack", DELAY, endpoint, "Minimum"),
            _query("files", "modelstack", DELAY, endpoint, "SampleCount"),
            Query(id="late", expression=late, label="late", return_data=False),
            _most([*(str(query.id) for query in counts), "late"]),
        ],
        periods=max(1, min(math.ceil(2 * 60 * settings.drift_minutes / _PERIOD), _LONGEST // _PERIOD)),
        opts=opts,
    )


def _alarm(
    site: Site,
    subject: str,
    description: str,
    *,
    severity: Severity,
    section: str,
    queries: list[Query],
    periods: int,
    opts: pulumi.ResourceOptions,
) -> None:
    aws.cloudwatch.MetricAlarm(
        f"{subject}-failing",
        name=site.names.alarm(subject, "failing"),
        **told(description, severity, section),
        metric_queries=queries,
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        evaluation_periods=periods,
        datapoints_to_alarm=1,
        treat_missing_data="notBreaching",  # counts of failures: nothing ran, nothing failed
        alarm_actions=[site.alerts],
        opts=opts,
    )


def _failed(names: Names, handler: str, period: int = _PERIOD) -> Query:
    """How often a function failed."""
    return _query(handler, "AWS/Lambda", "Errors", {"FunctionName": names.function(handler)}, "Sum", period=period)


def _waiting(id_: str, queue: str, period: int = _PERIOD) -> Query:
    """How many events lie in a dead-letter queue."""
    return _query(id_, "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, "Maximum", period=period)


def _most(counts: list[str]) -> Query:
    """What the alarm rings on: the largest count. One that has no data, such as an idle queue's, counts as none."""
    return Query(id="most", expression=f"MAX([{', '.join(counts)}])", label="failures", return_data=True)


def _query(
    id_: str, namespace: str, metric: str, dimensions: dict[str, str], stat: str, *, period: int = _PERIOD
) -> Query:
    return Query(
        id=id_,
        return_data=False,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace, metric_name=metric, dimensions=dimensions, stat=stat, period=period
        ),
    )
