"""The alarms of one endpoint, as CloudWatch has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.errors import explained
from cli.target import Target
from monitoring.alarms.alarm import Said
from platforms.aws.alarm_events import said
from platforms.aws.descriptions import Description
from platforms.aws.names import ALARM


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
    return [item for item in listed if is_own(item["AlarmName"], target.endpoint)]


def is_own(alarm: str, endpoint: str) -> bool:
    """Whether an alarm is this endpoint's, and not that of a stack whose name begins alike."""
    return ALARM.fullmatch(alarm.removeprefix(f"{endpoint}-")) is not None


def description_of(item: Mapping[str, Any]) -> Description:
    """How urgent an alarm is, what it means and where to look."""
    return Description.read(item.get("AlarmDescription", ""))


def reason_of(item: Mapping[str, Any]) -> Said:
    """Why it is in its state, with value and threshold."""
    return said(item.get("StateReason", ""), item.get("StateReasonData"), item.get("Threshold"))
