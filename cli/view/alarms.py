"""The alarms of one endpoint, as CloudWatch has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.errors import explained
from cli.target import Target
from monitoring.alarms.alarm import Said
from platforms.aws.alarm_events import said
from platforms.aws.descriptions import Description
from platforms.aws.metrics import ENDPOINT


def read(target: Target) -> list[dict[str, Any]]:
    """Every alarm of the endpoint, as `describe_alarms` tells it, composite ones first.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    with explained("reading the alarms"):
        pages = list(
            target.client("cloudwatch")
            .get_paginator("describe_alarms")
            .paginate(AlarmNamePrefix=f"{target.endpoint}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        )
    listed = [item for kind in ("CompositeAlarms", "MetricAlarms") for page in pages for item in page.get(kind, ())]
    return [item for item in listed if is_own(item, target)]


def is_own(item: Mapping[str, Any], target: Target) -> bool:
    """Whether an alarm is this endpoint's, and not that of a stack whose name begins alike.

    It watches the endpoint, or tells the endpoint's topic.
    """
    topic = target.outputs.get("alerts_topic")
    return target.endpoint in values(item, ENDPOINT) or topic in item.get("AlarmActions", ())


def values(item: Mapping[str, Any], dimension: str) -> set[str]:
    """The values that a dimension has in the metrics that an alarm watches."""
    watched = [item, *(query["MetricStat"]["Metric"] for query in item.get("Metrics", ()) if "MetricStat" in query)]
    pairs = (pair for metric in watched for pair in metric.get("Dimensions", ()))
    return {pair["Value"] for pair in pairs if pair["Name"] == dimension}


def description_of(item: Mapping[str, Any]) -> Description:
    """How urgent an alarm is, what it means and where to look."""
    return Description.read(item.get("AlarmDescription", ""))


def reason_of(item: Mapping[str, Any]) -> Said:
    """Why it is in its state, with value and threshold."""
    comparison = item.get("ComparisonOperator") if item["StateValue"] == "ALARM" else None
    return said(item.get("StateReason", ""), item.get("StateReasonData"), item.get("Threshold"), comparison)
