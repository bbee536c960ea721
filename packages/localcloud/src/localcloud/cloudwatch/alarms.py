"""What an alarm is: its definition as a client gave it, what is read for it, and the state that it is in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcloud.cloudwatch.distribution import Distribution
from localcloud.cloudwatch.errors import invalid_combination, missing_parameter, validation_error
from localcloud.cloudwatch.evaluation import COMPARISONS, INSUFFICIENT_DATA, TREATMENTS, Condition, Point
from localcloud.cloudwatch.expressions import ExpressionError
from localcloud.cloudwatch.queries import MetricQuery, Query, compute, metric_queries, parse_queries
from localcloud.cloudwatch.statistics import SIMPLE
from localcloud.cloudwatch.store import MetricKey
from localcloud.cloudwatch.timeseries import Series

METRIC_ALARM = "MetricAlarm"
COMPOSITE_ALARM = "CompositeAlarm"
ACTION_LISTS = {"OK": "OKActions", "ALARM": "AlarmActions", INSUFFICIENT_DATA: "InsufficientDataActions"}
"""Which actions a state has."""
INITIAL_REASON = "Unchecked: Initial alarm creation"
_PERIODS = (10, 20, 30)
_DAY, _WEEK, _HOUR = 86400, 604800, 3600
_MAX_TAGS = 50
_MAX_QUERIES, _MAX_METRICS = 20, 10
_ACTION = re.compile(
    r"arn:aws[a-z-]*:(sns:[a-z0-9-]+:\d{12}:[\w.-]+|lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?)"
)
_SINGLE_ONLY = ("Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
_REFUSED = {
    "EvaluationCriteria": "PromQL alarms",
    "EvaluationInterval": "PromQL alarms",
    "EvaluationWindow": "wall clock evaluation windows",
    "ThresholdMetricId": "anomaly detection alarms",
    "ActionsSuppressor": "action suppression",
    "ActionsSuppressorWaitPeriod": "action suppression",
    "ActionsSuppressorExtensionPeriod": "action suppression",
}


@dataclass
class State:
    """The state of an alarm.

    Attributes:
        value: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
        reason: For people.
        data: JSON, or None.
        updated: When value or reason last changed, in seconds since the epoch.
        transitioned: When the value last changed.
    """

    value: str
    reason: str
    data: str | None
    updated: float
    transitioned: float


@dataclass
class Alarm:
    """An alarm of either kind.

    Attributes:
        definition: The request that made it, without tags.
        updated: When it was defined, in seconds since the epoch.
        queries: What a metric alarm reads; the one that is watched is `watched`.
        condition: When a metric alarm alarms; None for a composite one.
    """

    name: str
    kind: str
    arn: str
    definition: dict[str, Any]
    state: State
    updated: float
    queries: tuple[Query, ...] = ()
    watched: str = ""
    condition: Condition | None = None
    metrics: frozenset[MetricKey] = field(default_factory=frozenset)

    @property
    def actions_enabled(self) -> bool:
        """Whether state changes lead to actions."""
        return self.definition.get("ActionsEnabled", True)

    def warms_up(self, points: Sequence[Point], now: float) -> bool:
        """Whether it is not evaluated yet, since what it watches may not have begun to publish.

        That lasts for so many minutes from its creation; unless told to wait for all of them, it ends as soon as there
        are as many data points as are looked at. An alarm that left its first state has had its warm-up.
        """
        asked = self.definition.get("WarmUpConfiguration")
        if asked is None or self.condition is None or self.state.reason != INITIAL_REASON:
            return False
        if now >= self.state.transitioned + 60 * asked["WarmUpPeriodDurationInMinutes"]:
            return False
        whole = asked.get("OnlyStartEvaluatingAfterWarmUpPeriodEnds", False)
        return whole or len(points) < self.condition.evaluation_periods

    def actions(self, state: str) -> list[str]:
        """The ARNs that a change to this state is sent to."""
        return list(self.definition.get(ACTION_LISTS[state], []))

    def points(self, read: Mapping[str, tuple[int, Sequence[Distribution]]]) -> list[Point]:
        """The data points that it is evaluated on.

        Args:
            read: As `compute` takes it.

        Raises:
            ExpressionError: The watched expression has no result that is one time series.
        """
        result = compute(self.queries, read)[self.watched]
        if isinstance(result, ExpressionError):
            raise result
        if not isinstance(result, Series):
            raise ExpressionError("the expression that the alarm watches does not result in one time series")
        query = next(query for query in self.queries if query.id == self.watched)
        if not isinstance(query, MetricQuery):
            return [Point(moment, value) for moment, value in result.values.items()]
        start, distributions = read[query.id]
        points = []
        for moment, value in result.values.items():
            count = distributions[(moment - start) // query.period].count
            points.append(Point(moment, value, count, query.statistic.significant(count)))
        return points


def metric_alarm(request: Mapping[str, Any], arn: str, state: State, now: float) -> Alarm:
    """Make a metric alarm out of a `PutMetricAlarm` request that fits the service model.

    Raises:
        CloudWatchError: Values do not fit each other, or ask for what is not there.
    """
    definition = {name: value for name, value in request.items() if name != "Tags"}
    refuse_unsupported(definition)
    check_actions(definition)
    if ("MetricName" in definition) == ("Metrics" in definition):
        raise validation_error("exactly one of MetricName and Metrics must be given")
    if "Metrics" in definition:
        queries, watched = _math_queries(definition)
    else:
        queries, watched = _single_query(definition), "m1"
    condition = _condition(definition, queries, watched)
    metrics = frozenset(query.key for query in metric_queries(queries))
    alarm = Alarm(request["AlarmName"], METRIC_ALARM, arn, definition, state, now, queries, watched, condition, metrics)
    _try(alarm)
    return alarm


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Check tags that come with a new resource.

    Raises:
        CloudWatchError: Too many, twice the same key, or a key that AWS keeps for itself.
    """
    keys = [tag["Key"] for tag in tags]
    if len(keys) > _MAX_TAGS:
        raise validation_error(f"{len(keys)} tags are more than the {_MAX_TAGS} that a resource may have")
    if len(set(keys)) != len(keys):
        raise validation_error("the tags name a key twice")
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    if reserved:
        raise validation_error(f"the tag key {reserved[0]!r} starts with aws:, which is reserved")


def check_actions(definition: Mapping[str, Any]) -> None:
    """Check that all actions are ones that can be carried out here.

    Raises:
        CloudWatchError: One is neither an SNS topic nor a Lambda function.
    """
    for member in ACTION_LISTS.values():
        for arn in definition.get(member, []):
            if not _ACTION.fullmatch(arn):
                raise validation_error(
                    f"the action {arn!r} in {member} is not supported; "
                    "the local CloudWatch carries out actions on SNS topics and Lambda functions"
                )


def refuse_unsupported(definition: Mapping[str, Any]) -> None:
    """Refuse members of the model that nothing here acts on.

    Raises:
        CloudWatchError: One is there.
    """
    for member, feature in _REFUSED.items():
        if member in definition:
            raise validation_error(f"{member} is not supported: the local CloudWatch has no {feature}")


def _single_query(definition: Mapping[str, Any]) -> tuple[Query, ...]:
    for member in ("Namespace", "Period"):
        if member not in definition:
            raise missing_parameter(f"an alarm on a metric must have {member}")
    _check_length(definition["Period"], definition.get("EvaluationPeriods", 1))
    if ("Statistic" in definition) == ("ExtendedStatistic" in definition):
        raise invalid_combination("an alarm on a metric must have either Statistic or ExtendedStatistic")
    extended = definition.get("ExtendedStatistic")
    if extended in SIMPLE:
        raise validation_error(f"ExtendedStatistic {extended!r} belongs into Statistic")
    metric = {
        "Namespace": definition["Namespace"],
        "MetricName": definition["MetricName"],
        "Dimensions": definition.get("Dimensions", []),
    }
    stat: dict[str, Any] = {
        "Metric": metric,
        "Period": definition["Period"],
        "Stat": definition.get("Statistic") or extended,
    }
    if "Unit" in definition:
        stat["Unit"] = definition["Unit"]
    return parse_queries([{"Id": "m1", "MetricStat": stat}])


def _math_queries(definition: Mapping[str, Any]) -> tuple[tuple[Query, ...], str]:
    present = [member for member in _SINGLE_ONLY if member in definition]
    if present:
        raise invalid_combination(f"{present[0]} cannot be given together with Metrics")
    if len(definition["Metrics"]) > _MAX_QUERIES:
        raise validation_error(f"an alarm can have at most {_MAX_QUERIES} queries in Metrics")
    queries = parse_queries(definition["Metrics"])
    if len([*metric_queries(queries)]) > _MAX_METRICS:
        raise validation_error(f"an alarm on metric math can use at most {_MAX_METRICS} metrics")
    watched = [query.id for query in queries if query.returned]
    if len(watched) != 1:
        raise validation_error(
            f"exactly one query in Metrics must have ReturnData true; here it is {watched or 'none'}"
        )
    periods = {query.period for query in metric_queries(queries)}
    if len(periods) != 1:
        raise validation_error(f"all metrics of an alarm must have the same period, not {sorted(periods) or 'none'}")
    return queries, watched[0]


def _condition(definition: Mapping[str, Any], queries: Sequence[Query], watched: str) -> Condition:
    for member in ("ComparisonOperator", "EvaluationPeriods", "Threshold"):
        if member not in definition:
            raise missing_parameter(f"an alarm on a fixed threshold must have {member}")
    comparison = definition["ComparisonOperator"]
    if comparison not in COMPARISONS:
        raise validation_error(
            f"ComparisonOperator {comparison} is for anomaly detection, which the local CloudWatch has not; "
            f"expected one of {', '.join(COMPARISONS)}"
        )
    period = next(metric_queries(queries)).period
    needed = definition["EvaluationPeriods"]
    enough = definition.get("DatapointsToAlarm", needed)
    if enough > needed:
        raise validation_error(f"DatapointsToAlarm {enough} is more than EvaluationPeriods {needed}")
    _check_length(period, needed)
    missing = definition.get("TreatMissingData", "missing")
    if missing not in TREATMENTS:
        raise validation_error(f"TreatMissingData {missing!r} is not one of {', '.join(TREATMENTS)}")
    query = next(query for query in queries if query.id == watched)
    metric = query if isinstance(query, MetricQuery) else None
    if any(query.key.namespace == "AWS/DynamoDB" for query in metric_queries(queries)):
        missing = "ignore"  # as on AWS, whatever the alarm says
    return Condition(
        comparison,
        definition["Threshold"],
        period,
        needed,
        enough,
        missing,
        metric.statistic.name if metric else None,
        metric.unit if metric else None,
        _ignores_low_samples(definition, metric),
    )


def _check_length(period: int, needed: int) -> None:
    if period not in _PERIODS and (period < 60 or period % 60):
        raise validation_error(f"Period {period} is not 10, 20, 30 or a multiple of 60")
    longest = _WEEK if period >= _HOUR else _DAY
    if period * needed > longest:
        raise validation_error(
            f"Period {period} times EvaluationPeriods {needed} is {period * needed} s; "
            f"at most {longest} s are allowed with this period"
        )


def _ignores_low_samples(definition: Mapping[str, Any], metric: MetricQuery | None) -> bool:
    policy = definition.get("EvaluateLowSampleCountPercentile")
    if policy is None:
        return False
    if policy not in ("evaluate", "ignore"):
        raise validation_error(f"EvaluateLowSampleCountPercentile {policy!r} is not one of evaluate, ignore")
    if metric is None or not metric.statistic.is_percentile:
        raise validation_error("EvaluateLowSampleCountPercentile is only for alarms on a percentile")
    return policy == "ignore"


def _try(alarm: Alarm) -> None:
    """Evaluate on no data, so that a wrong expression is refused now and not found out later."""
    condition = alarm.condition
    assert condition is not None  # noqa: S101 - a metric alarm has one
    empty = {
        query.id: (0, [Distribution() for _ in range(condition.range_periods)])
        for query in metric_queries(alarm.queries)
    }
    try:
        alarm.points(empty)
    except ExpressionError as error:
        raise validation_error(f"the alarm cannot be evaluated: {error}") from None


def describe(alarm: Alarm) -> dict[str, Any]:
    """The alarm as `DescribeAlarms` shows it."""
    shown: dict[str, Any] = {"ActionsEnabled": True, **{member: [] for member in ACTION_LISTS.values()}}
    if alarm.kind == METRIC_ALARM and "Metrics" not in alarm.definition:
        shown["Dimensions"] = []
    shown |= alarm.definition
    if "Metrics" in shown:
        shown["Metrics"] = [{"ReturnData": True, **query} for query in shown["Metrics"]]
    state = alarm.state
    shown |= {
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.updated,
        "StateValue": state.value,
        "StateReason": state.reason,
        "StateUpdatedTimestamp": state.updated,
        "StateTransitionedTimestamp": state.transitioned,
    }
    if state.data is not None:
        shown["StateReasonData"] = state.data
    return shown
