"""What happened to alarms, kept for 30 days as on AWS; also after the alarm is gone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch.alarms import Alarm, State

CONFIGURATION = "ConfigurationUpdate"
STATE = "StateUpdate"
ACTION = "Action"
KEPT_SECONDS = 30 * 86400
_DATA_LENGTH = 4095
_SUMMARY_LENGTH = 255


@dataclass(frozen=True)
class Item:
    """One thing that happened; `data` is JSON."""

    alarm: str
    kind: str
    moment: float
    type: str
    summary: str
    data: str

    def describe(self) -> dict[str, Any]:
        """As `DescribeAlarmHistory` shows it."""
        return {
            "AlarmName": self.alarm,
            "AlarmType": self.kind,
            "Timestamp": self.moment,
            "HistoryItemType": self.type,
            "HistorySummary": self.summary,
            "HistoryData": self.data,
        }


def configured(alarm: Alarm, operation: str, moment: float) -> Item:
    """An alarm was created, updated or deleted (`operation` is Create, Update or Delete)."""
    past = {"Create": "created", "Update": "updated", "Delete": "deleted"}[operation]
    full = {"version": "1.0", "type": operation, f"{past}Alarm": {**alarm.definition, "alarmArn": alarm.arn}}
    return _item(
        alarm, moment, CONFIGURATION, f'Alarm "{alarm.name}" {past}', full, {"version": "1.0", "type": operation}
    )


def changed(alarm: Alarm, before: State) -> Item:
    """An alarm, which holds its new state, came out of another one."""
    new = alarm.state
    summary = f"Alarm updated from {before.value} to {new.value}"
    forms = (
        {"version": "1.0", "oldState": _state(before, True), "newState": _state(new, True)},
        {"version": "1.0", "oldState": _state(before, False), "newState": _state(new, True)},
        {"version": "1.0", "oldState": _state(before, False), "newState": _state(new, False)},
    )
    return _item(alarm, new.updated, STATE, summary, *forms)


def acted(
    alarm: str, kind: str, arn: str, moment: float, *, changed_at: float, message: Any, error: str | None
) -> Item:
    """An action was carried out; or, when there is an error, was not."""
    outcome: dict[str, Any] = {
        "actionState": "Succeeded" if error is None else "Failed",
        "stateUpdateTimestamp": int(changed_at * 1000),
        "notificationResource": arn,
    }
    if error is not None:
        outcome["error"] = error
    done = "Successfully executed" if error is None else "Failed to execute"
    summary = f"{done} action {arn}" + ("" if error is None else f'. Received error: "{error}"')
    forms = ({**outcome, "publishedMessage": message}, {**outcome, "publishedMessage": None})
    return Item(alarm, kind, moment, ACTION, summary[:_SUMMARY_LENGTH], _fitting(*forms))


def insert(connection: sqlite3.Connection, item: Item) -> None:
    """Write an item down."""
    connection.execute(
        "insert into history (alarm, kind, moment, type, summary, data) values (?, ?, ?, ?, ?, ?)",
        (item.alarm, item.kind, item.moment, item.type, item.summary, item.data),
    )


def forget(connection: sqlite3.Connection, now: float) -> None:
    """Delete what is older than it is kept."""
    connection.execute("delete from history where moment < ?", (now - KEPT_SECONDS,))


def select(connection: sqlite3.Connection, request: Mapping[str, Any], limit: int, offset: int) -> list[Item]:
    """Items that a `DescribeAlarmHistory` request asks for, in its order."""
    conditions, values = ["1"], []
    for column, test, member in (
        ("alarm", "=", "AlarmName"),
        ("type", "=", "HistoryItemType"),
        ("moment", ">=", "StartDate"),
        ("moment", "<=", "EndDate"),
    ):
        if member in request:
            conditions.append(f"{column} {test} ?")
            values.append(request[member])
    kinds = request.get("AlarmTypes", [])
    if kinds:
        conditions.append(f"kind in ({', '.join('?' * len(kinds))})")
        values += kinds
    order = "asc" if request.get("ScanBy") == "TimestampAscending" else "desc"
    rows = connection.execute(
        "select alarm, kind, moment, type, summary, data from history "  # noqa: S608 - only constants are put in
        f"where {' and '.join(conditions)} order by moment {order}, id {order} limit ? offset ?",
        (*values, limit, offset),
    )
    return [Item(*row) for row in rows]


def _state(state: State, with_data: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"stateValue": state.value, "stateReason": state.reason}
    if state.data is not None and with_data:
        try:
            shown["stateReasonData"] = json.loads(state.data)
        except ValueError:  # SetAlarmState takes any text
            shown["stateReasonData"] = state.data
    return shown


def _item(alarm: Alarm, moment: float, what: str, summary: str, *forms: Mapping[str, Any]) -> Item:
    return Item(alarm.name, alarm.kind, moment, what, summary[:_SUMMARY_LENGTH], _fitting(*forms))


def _fitting(*forms: Mapping[str, Any]) -> str:
    """The first of the forms that is short enough, else the last one."""
    texts = [json.dumps(form, separators=(",", ":")) for form in forms]
    return next((text for text in texts if len(text) <= _DATA_LENGTH), texts[-1][:_DATA_LENGTH])
