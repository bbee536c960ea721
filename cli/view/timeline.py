"""What was seen to happen, and when: each change of an endpoint, written down as it is seen."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from cli.again import again
from cli.errors import OperatorError
from cli.target import Target
from cli.view.snapshot import Snapshot, take
from rollout.reason import Reason

_LINE = 110


@dataclass
class Timeline:
    """Lines of what was seen, each with its seconds since the beginning; `show` is called for each as it comes."""

    show: Callable[[str], object] = lambda line: None
    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, text: str) -> None:
        """Add a line now."""
        with self._lock:
            self.lines.append(f"  {time.monotonic() - self.begun:7.1f} s  {text}")
            self.show(self.lines[-1])


def observed(target: Target, timeline: Timeline, every: float = 0.5) -> AbstractContextManager[None]:
    """Note each change of weights, verdict and alarms, by a look each `every` seconds, until the block ends."""
    last: Snapshot | None = None
    blind_until = 0.0

    def look() -> None:
        nonlocal last, blind_until
        if time.monotonic() < blind_until:
            return
        try:
            seen = take(target)
        except OperatorError as error:
            timeline.note(f"could not look: {error}")
            blind_until = time.monotonic() + 5 * every
            return
        for text in changes(last, seen):
            timeline.note(text)
        last = seen

    return again(every, look)


def changes(before: Snapshot | None, now: Snapshot) -> list[str]:
    """What differs between two looks, each in one line; all that stands when there was no look before."""
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
    """As much of a text as a line holds."""
    return textwrap.shorten(text, width, placeholder=" ...")


def brief_verdict(verdict: Mapping[str, Any], width: int = _LINE) -> str:
    """As much of a verdict's reason as a line holds, and always the evidence; `explain` has the whole."""
    return Reason.from_dict(verdict["reason"]).brief(width)


def _weights(seen: Snapshot) -> str:
    return "  ".join(f"{item.name} ({item.role}) {item.weight:.0f}%" for item in seen.variants)
