"""What is told to whom when an alarm changes its state: the messages of SNS, Lambda and EventBridge, as AWS forms them.

Sources: "Amazon SNS message format of CloudWatch alarms", "Invoke a Lambda function from an alarm" and "Alarm events
and EventBridge" in the Amazon CloudWatch User Guide.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch.alarms import COMPOSITE_ALARM, Alarm, State
from localcloud.cloudwatch.evaluation import iso

STATE_CHANGE = "CloudWatch Alarm State Change"
CONFIGURATION_CHANGE = "CloudWatch Alarm Configuration Change"
_REGION_NAMES = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-central-1": "EU (Frankfurt)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
}
_SUBJECT_LENGTH = 100


@dataclass(frozen=True)
class Transition:
    """An alarm that changed its state; `alarm` already holds the new one.

    Attributes:
        before: The state that it was in.
        triggers: For a composite alarm, the children whose change led to this one.
    """

    alarm: Alarm
    before: State
    account: str
    region: str
    triggers: Sequence[Alarm] = ()


def subject(change: Transition) -> str:
    """The subject of the SNS message."""
    region = _REGION_NAMES.get(change.region, change.region)
    return f'{change.alarm.state.value}: "{change.alarm.name}" in {region}'[:_SUBJECT_LENGTH]


def sns_message(change: Transition) -> dict[str, Any]:
    """The body of the SNS message; JSON with CloudWatch's own names."""
    alarm, state = change.alarm, change.alarm.state
    message: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.definition.get("AlarmDescription"),
        "AWSAccountId": change.account,
        "AlarmConfigurationUpdatedTimestamp": iso(alarm.updated),
        "NewStateValue": state.value,
        "NewStateReason": state.reason,
        "StateChangeTime": iso(state.updated),
        "Region": _REGION_NAMES.get(change.region, change.region),
        "AlarmArn": alarm.arn,
        "OldStateValue": change.before.value,
        "OKActions": alarm.actions("OK"),
        "AlarmActions": alarm.actions("ALARM"),
        "InsufficientDataActions": alarm.actions("INSUFFICIENT_DATA"),
    }
    if alarm.kind == COMPOSITE_ALARM:
        message["AlarmRule"] = alarm.definition["AlarmRule"]
        message["TriggeringChildren"] = [
            {"Arn": child.arn, "State": {"Value": child.state.value, "Timestamp": iso(child.state.updated)}}
            for child in change.triggers
        ]
        return message
    return {**message, "Trigger": _trigger(alarm)}


def _trigger(alarm: Alarm) -> dict[str, Any]:
    definition = alarm.definition
    trigger: dict[str, Any] = {}
    if "Metrics" not in definition:
        extended = "ExtendedStatistic" in definition
        trigger = {
            "MetricName": definition["MetricName"],
            "Namespace": definition["Namespace"],
            "StatisticType": "ExtendedStatistic" if extended else "Statistic",
            **(
                {"ExtendedStatistic": definition["ExtendedStatistic"]}
                if extended
                else {"Statistic": _shouted(definition["Statistic"])}
            ),
            "Unit": definition.get("Unit"),
            "Dimensions": _lowered(definition.get("Dimensions", [])),
        }
    condition = alarm.condition
    trigger |= {
        "Period": condition.period if condition else None,
        "EvaluationPeriods": definition["EvaluationPeriods"],
        **({"DatapointsToAlarm": definition["DatapointsToAlarm"]} if "DatapointsToAlarm" in definition else {}),
        "ComparisonOperator": definition["ComparisonOperator"],
        "Threshold": definition["Threshold"],
        "TreatMissingData": definition.get("TreatMissingData", ""),
        "EvaluateLowSampleCountPercentile": definition.get("EvaluateLowSampleCountPercentile", ""),
    }
    if "Metrics" in definition:
        trigger["Metrics"] = [_sns_query(query) for query in definition["Metrics"]]
    return trigger


def _shouted(statistic: str) -> str:
    return {"SampleCount": "SAMPLE_COUNT"}.get(statistic, statistic.upper())


def _lowered(dimensions: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"value": dimension["Value"], "name": dimension["Name"]} for dimension in dimensions]


def _sns_query(query: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ReturnData": True, **query}
    if "MetricStat" in shown:
        metric = shown["MetricStat"]["Metric"]
        metric = {**metric, "Dimensions": _lowered(metric.get("Dimensions", []))}
        shown["MetricStat"] = {**shown["MetricStat"], "Metric": metric}
    return shown


def lambda_event(change: Transition) -> dict[str, Any]:
    """The event that a function is invoked with."""
    alarm = change.alarm
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm.arn,
        "accountId": change.account,
        "time": iso(alarm.state.updated),
        "region": change.region,
        "alarmData": _detail(change),
    }


def state_change_detail(change: Transition) -> dict[str, Any]:
    """The `detail` of the EventBridge event of a state change."""
    return _detail(change)


def configuration_detail(alarm: Alarm, operation: str, previous: Alarm | None = None) -> dict[str, Any]:
    """The `detail` of the EventBridge event of an alarm that was created, updated or deleted."""
    detail = {
        "alarmName": alarm.name,
        "operation": operation,
        "state": _state(alarm.state),
        "configuration": _full_configuration(alarm),
    }
    if previous is not None:
        detail["previousConfiguration"] = _full_configuration(previous)
    return detail


def _detail(change: Transition) -> dict[str, Any]:
    alarm = change.alarm
    return {
        "alarmName": alarm.name,
        "state": _state(alarm.state),
        "previousState": _state(change.before),
        "configuration": _configuration(alarm),
    }


def _state(state: State) -> dict[str, str]:
    shown = {"value": state.value, "reason": state.reason}
    if state.data is not None:
        shown["reasonData"] = state.data
    return {**shown, "timestamp": iso(state.updated)}


def _configuration(alarm: Alarm) -> dict[str, Any]:
    description = alarm.definition.get("AlarmDescription")
    shown: dict[str, Any] = {} if description is None else {"description": description}
    if alarm.kind == COMPOSITE_ALARM:
        return {**shown, "alarmRule": alarm.definition["AlarmRule"]}
    return {**shown, "metrics": _event_queries(alarm)}


def _full_configuration(alarm: Alarm) -> dict[str, Any]:
    definition = alarm.definition
    shown = {
        **_configuration(alarm),
        "alarmName": alarm.name,
        "actionsEnabled": alarm.actions_enabled,
        "timestamp": iso(alarm.updated),
        "okActions": alarm.actions("OK"),
        "alarmActions": alarm.actions("ALARM"),
        "insufficientDataActions": alarm.actions("INSUFFICIENT_DATA"),
    }
    members = {
        "evaluationPeriods": "EvaluationPeriods",
        "datapointsToAlarm": "DatapointsToAlarm",
        "threshold": "Threshold",
        "comparisonOperator": "ComparisonOperator",
        "treatMissingData": "TreatMissingData",
        "evaluateLowSampleCountPercentile": "EvaluateLowSampleCountPercentile",
    }
    return {**shown, **{name: definition[member] for name, member in members.items() if member in definition}}


def _event_queries(alarm: Alarm) -> list[dict[str, Any]]:
    definition = alarm.definition
    if "Metrics" in definition:
        return [_event_query(query) for query in definition["Metrics"]]
    stat = {
        "Metric": {name: definition[name] for name in ("Namespace", "MetricName", "Dimensions") if name in definition},
        "Period": definition["Period"],
        "Stat": definition.get("Statistic") or definition["ExtendedStatistic"],
        **({"Unit": definition["Unit"]} if "Unit" in definition else {}),
    }
    # AWS names the query with a random id; this one stays the same for an alarm.
    return [_event_query({"Id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm.arn)), "MetricStat": stat})]


def _event_query(query: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": query["Id"]}
    if "MetricStat" in query:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        shown["metricStat"] = {
            "metric": {
                "namespace": metric["Namespace"],
                "name": metric["MetricName"],
                "dimensions": {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])},
            },
            "period": stat["Period"],
            "stat": stat["Stat"],
            **({"unit": stat["Unit"]} if "Unit" in stat else {}),
        }
    if "Expression" in query:
        shown["expression"] = query["Expression"]
    if "Label" in query:
        shown["label"] = query["Label"]
    return {**shown, "returnData": query.get("ReturnData", True)}


def dumps(message: Mapping[str, Any]) -> str:
    """A message as compact JSON."""
    return json.dumps(message, separators=(",", ":"))
