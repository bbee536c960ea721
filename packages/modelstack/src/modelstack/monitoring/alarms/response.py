"""The response of a rollout to an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.alarms.alarm import Alarm, NotAnAlarm
from modelstack.monitoring.alarms.outage import Outage
from modelstack.monitoring.objectives.slo import OBJECTIVE
from modelstack.monitoring.published import MISSING, NEW_CODES, OUT_OF_RANGE, SCHEMA
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.catalogue import OWN
from modelstack.rollout.core.endings import Ignored
from modelstack.rollout.reason import Reason

_OF_REQUESTS = ("Drift", "Capture", OUT_OF_RANGE, NEW_CODES, MISSING, SCHEMA)
OF_MEASURING = tuple(f"{OWN}/{subject}" for subject in (*_OF_REQUESTS, "Labels", "Answers", "Concept"))
"""Prefixes of metrics about drift or about missing measurements, which say nothing about how a model answers."""


@dataclass(frozen=True)
class AlarmResponse:
    """What was done about an alarm, and why; `reason` is set if something was done."""

    alarm: str
    action: str
    why: str
    reason: Reason | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        fields = {"reason": self.reason.as_dict()} if self.reason else {}
        return {"alarm": self.alarm, "action": self.action, "why": self.why, **fields}


def respond(
    alarm: Alarm | NotAnAlarm, endpoint: str, controller: Controller, outage: Outage, *, patience: float
) -> AlarmResponse:
    """Roll back if the alarm is in ALARM and about the challenger (or, for a time, the new champion).

    Returns the action (`rolled back`, `left to the judge` or `ignored`) with its reason. Retries for `patience` seconds
    while the endpoint does not accept the change. A RolloutError means that the delivery must be repeated.
    """
    if isinstance(alarm, NotAnAlarm):
        return AlarmResponse("", "ignored", alarm.why)
    ignored = _not_for_us(alarm, endpoint)
    if ignored:
        return AlarmResponse(alarm.name, "ignored", ignored)
    if outage.had_been_left(alarm):
        return AlarmResponse(
            alarm.name, "ignored", "it fired before the verdict was given, and had been left to the judge"
        )
    shared = outage.shared(alarm)
    if shared is not None:
        return AlarmResponse(alarm.name, "left to the judge", shared.text, shared)
    reason = alarm.reason
    done = controller.roll_back(reason, variant=alarm.variant, at=alarm.at, patience=patience)
    if isinstance(done, Ignored):
        return AlarmResponse(alarm.name, "ignored", done.why)
    return AlarmResponse(alarm.name, "rolled back", f"rollout {done.state.rollout_id}: {reason.text}", reason)


def _not_for_us(alarm: Alarm, endpoint: str) -> str | None:
    if alarm.state != "ALARM":
        return f"its state is {alarm.state or 'not told'}, not ALARM"
    if alarm.endpoint != endpoint:
        return f"it is about {f'endpoint {alarm.endpoint}' if alarm.endpoint else 'no endpoint'}, not {endpoint}"
    if alarm.name.startswith(f"{endpoint}-{OBJECTIVE}-"):
        return "it is about what users were promised, whichever versions answer: people are told"
    if alarm.variant is None:
        return "it names no single variant"
    if all(metric.startswith(OF_MEASURING) for metric in alarm.metrics):
        return (
            "it says how the world drifts, or what could not be measured: people are told, and nothing is rolled back"
        )
    return None
