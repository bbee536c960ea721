"""The changes between two snapshots of an endpoint, as lines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from cli.view.snapshot import Snapshot
from rollout.reason import Reason

_LINE = 110


def changes(before: Snapshot | None, now: Snapshot) -> list[str]:
    """The changes between two snapshots; all of the present state when there was none before."""
    found: list[str] = []
    if before is None or _weights(before) != _weights(now):
        found.append(f"weights  {_weights(now)}")
    if before is None or before.phase != now.phase:
        found.append(f"rollout  {now.phase.replace('_', ' ')}")
    was = {alarm.name: alarm.state for alarm in before.alarms} if before else {}
    for alarm in now.alarms:
        if alarm.state == "ALARM" and was.get(alarm.name) != "ALARM":
            found.append(f"alarm    {alarm.name} rings: {brief(alarm.brief)}")
        if alarm.state != "ALARM" and was.get(alarm.name) == "ALARM":
            found.append(f"alarm    {alarm.name} is {alarm.state.replace('_', ' ').lower()} again")
    for label in ("verdict", "moved"):
        ended = getattr(now, label)
        if before is not None and ended and ended != getattr(before, label):
            found.append(f"{label:<8} {ended['outcome'].replace('_', ' ')}: {brief_verdict(ended)}")
    return found


def brief(text: str, width: int = _LINE) -> str:
    """A text, shortened to a line."""
    return textwrap.shorten(text, width, placeholder=" ...")


def brief_verdict(verdict: Mapping[str, Any], width: int = _LINE) -> str:
    """A verdict's reason, shortened to a line, but always with the evidence."""
    return Reason.from_dict(verdict["reason"]).brief(width)


def _weights(seen: Snapshot) -> str:
    return "  ".join(f"{item.name} ({item.role}) {item.weight:.0f}%" for item in seen.variants)
