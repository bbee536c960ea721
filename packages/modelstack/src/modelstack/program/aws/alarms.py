"""The declared alarms, compiled to CloudWatch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.objectives.slo import OBJECTIVE, SLIS, BurnRule
from modelstack.monitoring.published import DELAY, DRIFT_UNMEASURED, PROBE_SUCCESS
from modelstack.platforms.aws.descriptions import Description
from modelstack.platforms.aws.evaluations import ratio
from modelstack.platforms.aws.metrics import (
    DEPTH,
    ERRORS,
    FAILED,
    FUNCTION,
    INVOCATIONS,
    LAMBDA,
    LATENCY,
    QUEUE,
    SAGEMAKER,
    SQS,
    place,
    slower_than,
)
from modelstack.program.aws.site import Site
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.declaration.alarm_names import BURN, FAILING, LATE_MINUTES, PROBE
from modelstack.services.declaration.alarm_thresholds import bound, plain
from modelstack.services.declaration.alarms import (
    PROBES,
    AlarmSpec,
    BadShare,
    Burn,
    EvidenceRule,
    Missing,
    Silence,
    burns,
)

Query = aws.cloudwatch.MetricAlarmMetricQueryArgs
_MINUTE, _PERIOD = 60, 180
_LOOKED_BACK = 86_400  # seconds that CloudWatch looks back in periods of less than an hour
_LATE_FILES = 3
"""All of at least so many files in one period must be late: one or two that a person resends are no backlog."""
_COUNTS = (("requests", INVOCATIONS, "Sum"), ("failed", FAILED, "Sum"), ("slow", LATENCY, ""))
_BAD = {"availability": "failed", "latency": "slow"}
_COUNTS_OF_FAILURES = Missing("notBreaching", "Nothing ran, nothing failed.")


def variant_alarm(site: Site, spec: AlarmSpec, period: int, opts: pulumi.ResourceOptions) -> None:
    """Declare an alarm of a variant; `period` in seconds."""
    of, condition = place(site.names.endpoint, spec.subject), spec.condition
    if isinstance(condition, BadShare):
        slow = condition.bad == "slow"
        metric, stat = (LATENCY, slower_than(condition.slow_ms)) if slow else (FAILED, "Sum")
        whole, every = (LATENCY, "SampleCount") if slow else (INVOCATIONS, "Sum")
        share = Query(
            id="rate",
            expression=ratio(condition.tolerated, condition.nats),
            label="share beyond chance",
            return_data=True,
        )
        queries = [
            _read("part", SAGEMAKER, metric, of, stat=stat, period=period),
            _read("whole", SAGEMAKER, whole, of, stat=every, period=period),
            share,
        ]
        counts = {"evaluation_periods": condition.periods, "datapoints_to_alarm": condition.needed}
        _declare(site, spec, opts, queries, **counts)
    if isinstance(condition, EvidenceRule):
        _declare(
            site,
            spec,
            opts,
            [_read("evidence", OWN, condition.metric, of, stat="Maximum", period=period, watched=True)],
            evaluation_periods=_periods(condition.lasts_seconds, period),
            comparison_operator="GreaterThanOrEqualToThreshold",
        )


def silence_alarm(site: Site, spec: AlarmSpec, opts: pulumi.ResourceOptions) -> aws.cloudwatch.MetricAlarm:
    """Declare the alarm on probes, which notifies nobody by itself: the paging budget alarm includes it.

    Or that on the calls of the advance function.
    """
    assert isinstance(spec.condition, Silence)  # noqa: S101 - it narrows the type
    probe, function = spec.subject == PROBE, {FUNCTION: site.names.function(spec.subject)}
    return _declare(
        site,
        replace(spec, text=f"{spec.text}. {_notifies(site)}") if probe else spec,
        opts,
        notifies=not probe,
        namespace=OWN if probe else LAMBDA,
        metric_name=PROBE_SUCCESS if probe else INVOCATIONS,
        dimensions=place(site.names.endpoint) if probe else function,
        statistic="Maximum",
        period=60 * spec.condition.minutes,
        evaluation_periods=PROBES,
        datapoints_to_alarm=PROBES,
        comparison_operator="LessThanThreshold",
        warm_up_configuration=aws.cloudwatch.MetricAlarmWarmUpConfigurationArgs(
            warm_up_period_duration_in_minutes=spec.condition.warm_up_minutes
        ),
    )


def budget_alarms(
    site: Site,
    specs: tuple[AlarmSpec, AlarmSpec],
    variants: Sequence[str],
    silent: aws.cloudwatch.MetricAlarm | None,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare the alarms on the error budget, of `specs` (page, ticket) and the probe's alarm `silent`.

    The alarms of single windows notify nobody. One composite alarm over them pages once, however many fire. One alarm
    on the longest window opens a ticket.
    """
    page, ticket = specs
    burn, lasting = page.condition, ticket.condition
    assert isinstance(burn, Burn) and isinstance(lasting, Burn) and burn.short  # noqa: S101 - see above

    def window(rule: BurnRule, *, guarded: bool) -> aws.cloudwatch.MetricAlarm:
        text = f"{burns(rule)}. {_notifies(site)}, when a long window and the short one fire"
        spec = replace(page, subject=BURN, measure=rule.name, text=text, threshold=rule.factor)
        queries = list(_burn_queries(site, burn, rule.seconds, variants, guarded=guarded))
        # A long window is one period: counted from the stack's creation, it would have no data for as long.
        return _declare(site, spec, opts, queries, since_creation=not guarded, notifies=False)

    urgent = [window(rule, guarded=True) for rule in burn.windows]
    short = window(burn.short, guarded=False)
    _declare(site, ticket, opts, list(_burn_queries(site, lasting, lasting.windows[0].seconds, variants, guarded=True)))

    def rule(firing: list[str]) -> str:
        longs, rest = firing[: len(urgent)], firing[len(urgent) :]
        return " OR ".join([f"(({' OR '.join(longs)}) AND {rest[0]})", *rest[1:]])

    each = (alarm.name.apply('ALARM("{}")'.format) for alarm in (*urgent, short, *([silent] if silent else [])))
    aws.cloudwatch.CompositeAlarm(
        f"{page.subject}-{page.measure}",
        alarm_name=site.names.alarm(page.subject, page.measure),
        alarm_rule=pulumi.Output.all(*each).apply(rule),
        alarm_actions=[site.alerts],
        opts=opts,
        **_description(replace(page, text=f"{page.text}, or the endpoint is silent") if silent else page),
    )


def rollback_alarm(site: Site, opts: pulumi.ResourceOptions) -> None:
    """Declare the alarm that pages when an alarm on a release was, or may be, not acted upon."""
    names = site.names
    # One minute: for a failure and a later success in one period, CloudWatch reports the failure again at its end.
    counts = [_failed(site, "rollback", _MINUTE), _waiting("alarms", names.dead_letters, _MINUTE)]
    spec = AlarmSpec(
        "rollback",
        FAILING,
        f"An alarm may not have been acted upon: {names.function('rollback')} failed, or the alarm is in "
        f"{names.dead_letters}. Check whether the champion has all traffic, then read the queue",
        "page",
        0,
        _COUNTS_OF_FAILURES,
        "read-a-dead-letter-queue",
    )
    _declare(site, spec, opts, [*counts, _largest([str(query.id) for query in counts])])


def functions_alarm(site: Site, drift_minutes: int, opts: pulumi.ResourceOptions) -> None:
    """Declare the ticket alarm on functions that do not work.

    It lasts for two sweeps of the drift function, which reports once per sweep that drift cannot be measured.
    """
    names, endpoint = site.names, place(site.names.endpoint)
    counts = [
        *(_failed(site, handler) for handler in site.scheduled),
        _waiting("captured_files", names.captures_dead_letters),
        _waiting("labelled_files", names.labels_dead_letters),
        _read("unmeasured", OWN, DRIFT_UNMEASURED, endpoint, stat="Sum", period=_PERIOD),
    ]
    late = f"IF(delay > {60 * LATE_MINUTES} AND files >= {_LATE_FILES}, 1, 0)"
    queries = [
        *counts,
        _read("delay", OWN, DELAY, endpoint, stat="Minimum", period=_PERIOD),
        _read("files", OWN, DELAY, endpoint, stat="SampleCount", period=_PERIOD),
        Query(id="late", expression=late, label="late", return_data=False),
        _largest([*(str(query.id) for query in counts), "late"]),
    ]
    spec = AlarmSpec(
        "functions",
        FAILING,
        "A function, not that of the rollback, does not do its work. It failed; or an event that it could not handle "
        f"is in {names.captures_dead_letters} or {names.labels_dead_letters}; or drift cannot be measured; or captures "
        f"and labels are counted more than {LATE_MINUTES} minutes after they came. The dashboard {names.dashboard} "
        f"shows which, the log {names.log} why",
        "ticket",
        0,
        _COUNTS_OF_FAILURES,
        "a-function-fails",
    )
    _declare(site, spec, opts, queries, evaluation_periods=_periods(2 * 60 * drift_minutes, _PERIOD))


def _declare(
    site: Site,
    spec: AlarmSpec,
    opts: pulumi.ResourceOptions,
    queries: Sequence[Query] | None = None,
    *,
    since_creation: bool = True,
    notifies: bool = True,
    **rule: Any,
) -> aws.cloudwatch.MetricAlarm:
    """By default the alarm fires after one period above the threshold, counts periods since the stack was created
    (`since_creation`), and notifies the alerts topic. `rule` holds further arguments of the resource.
    """
    usual: dict[str, Any] = {
        "comparison_operator": "GreaterThanThreshold",
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
    }
    if queries:
        usual["metric_queries"] = _later_than(site.born, queries) if since_creation else queries
    if notifies:
        usual["alarm_actions"] = [site.alerts]
    return aws.cloudwatch.MetricAlarm(
        f"{spec.subject}-{spec.measure}",
        name=site.names.alarm(spec.subject, spec.measure),
        threshold=spec.threshold,
        treat_missing_data=spec.missing.treatment,
        opts=opts,
        **_description(spec),
        **(usual | rule),
    )


def _description(spec: AlarmSpec) -> dict[str, Any]:
    text = str(Description(spec.severity, f"{spec.text}.", spec.runbook))
    return {"alarm_description": text, "tags": {"severity": spec.severity}}


def _notifies(site: Site) -> str:
    return f"It notifies nobody by itself: {site.names.alarm(OBJECTIVE, 'page')} does"


def _periods(seconds: int, period: int) -> int:
    return max(1, min(math.ceil(seconds / period), _LOOKED_BACK // period))


def _later_than(born: pulumi.Input[int], queries: Sequence[Query]) -> list[Query]:
    """Restrict the watched query to periods that began after `born`.

    CloudWatch retains metrics of an earlier stack with the same names. No metric is negative: the first comparison
    drops periods without a value, which EPOCH does not.

    Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics" (EPOCH, IF).
    """
    clock = next(str(query.id) for query in queries if query.metric)
    (watched,) = (query for query in queries if query.return_data)
    name = str(watched.id)
    later = pulumi.Output.format("IF({0} >= 0 AND EPOCH({1}) >= {2}, {0})", name, clock, born)
    whole = Query(id="later", expression=later, label=watched.label or name, return_data=True)
    part = Query(id=name, expression=watched.expression, metric=watched.metric, label=watched.label, return_data=False)
    return [whole, *(part if query is watched else query for query in queries)]


def _read(
    id_: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    *,
    stat: str,
    period: int,
    watched: bool = False,
) -> Query:
    return Query(
        id=id_,
        return_data=watched,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace, metric_name=metric, dimensions=dict(dimensions), stat=stat, period=period
        ),
    )


def _burn_queries(site: Site, burn: Burn, seconds: int, variants: Sequence[str], *, guarded: bool) -> Iterator[Query]:
    """The larger burn rate of both budgets; of a guarded window, only beyond chance.

    Queries of a variant have its name in the id and come last, so that another variant renames none.
    """
    objective = burn.objective
    for sli in SLIS:
        tolerated = objective.tolerated(sli)
        rate = f"{_BAD[sli]} / requests / {plain(tolerated)}"
        if guarded:
            enough = f"requests >= {objective.min_requests}"
            rate = f"IF({enough} AND {_BAD[sli]} > {bound('requests', tolerated, burn.nats)}, {rate}, 0)"
        yield Query(id=sli, expression=rate, label=sli, return_data=False)
    yield Query(id="burn", expression=f"MAX([{', '.join(SLIS)}])", label="burn rate", return_data=True)
    for kind, _, _ in _COUNTS:
        total = " + ".join(_id(kind, variant) for variant in variants)
        yield Query(id=kind, expression=total, label=kind, return_data=False)
    for variant in variants:
        of = place(site.names.endpoint, variant)
        for kind, metric, stat in _COUNTS:
            counts = stat or slower_than(objective.latency_ms)
            yield _read(_id(kind, variant), SAGEMAKER, metric, of, stat=counts, period=seconds)


def _id(kind: str, variant: str) -> str:
    return re.sub(r"\W", "_", f"{kind}_{variant}")


def _failed(site: Site, handler: str, period: int = _PERIOD) -> Query:
    return _read(handler, LAMBDA, ERRORS, {FUNCTION: site.names.function(handler)}, stat="Sum", period=period)


def _waiting(id_: str, queue: str, period: int = _PERIOD) -> Query:
    return _read(id_, SQS, DEPTH, {QUEUE: queue}, stat="Maximum", period=period)


def _largest(counts: list[str]) -> Query:
    """CloudWatch ignores a metric without data here, such as an idle queue's."""
    return Query(id="most", expression=f"MAX([{', '.join(counts)}])", label="failures", return_data=True)
