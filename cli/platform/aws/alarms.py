"""The alarms of one endpoint, as CloudWatch has them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

from cli.errors import explained
from cli.platform.facts import AlarmInFull, AlarmView
from cli.target import Target
from platforms.aws.alarm_events import reason
from platforms.aws.descriptions import Description
from platforms.aws.metrics import ENDPOINT
from services.declaration.alarm_names import BURN

_AT_ONCE = 4  # requests to AWS
_CHANGES = 12  # of one alarm


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


def telling(target: Target) -> tuple[AlarmView, ...]:
    """Those that tell somebody: an alarm on one window of the error budget does not. Composite ones are the last.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    listed = sorted(read(target), key=lambda item: "AlarmRule" in item)
    return tuple(view(item) for item in listed if not item["AlarmName"].startswith(f"{target.endpoint}-{BURN}-"))


def view(item: Mapping[str, Any]) -> AlarmView:
    """One of them, as people look at it."""
    said, severity = reason(item), description_of(item).severity
    return AlarmView(item["AlarmName"], item["StateValue"], said.text, severity, said.value, said.threshold)


def in_full(target: Target) -> list[AlarmInFull]:
    """Each alarm with its description, its reason with value and threshold, and the last changes of its state.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    listed = read(target)
    with explained("reading the history of the alarms"), ThreadPoolExecutor(_AT_ONCE) as pool:
        changes = list(pool.map(partial(_changes, target), [item["AlarmName"] for item in listed]))
    return [_in_full(item, past) for item, past in zip(listed, changes, strict=True)]


def _in_full(item: Mapping[str, Any], past: tuple[tuple[datetime, str], ...]) -> AlarmInFull:
    description = description_of(item)
    return AlarmInFull(
        alarm=view(item),
        since=item.get("StateUpdatedTimestamp"),
        text=description.text,
        runbook=description.runbook,
        composite="AlarmRule" in item,
        missing=item.get("TreatMissingData", ""),
        changes=past,
    )


def _changes(target: Target, name: str) -> tuple[tuple[datetime, str], ...]:
    found = target.client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", MaxRecords=_CHANGES, ScanBy="TimestampDescending"
    )["AlarmHistoryItems"]
    return tuple((item["Timestamp"], item["HistorySummary"]) for item in found)
