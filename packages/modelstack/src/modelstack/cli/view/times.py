"""Times for people: every command and page writes one form of a time, with its age."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

Moment = str | float | datetime
"""A time in ISO 8601, in epoch seconds, or as `datetime`; UTC where it names no zone."""


def duration(seconds: float) -> str:
    """Seconds as text for people; an infinite time is `too long`."""
    if not math.isfinite(seconds):
        return "too long"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, part = divmod(minutes, 60)
    if whole < 120 and (rest or not whole):
        return f"{whole} s"
    if minutes < 120 and (part or rest):
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    more, less = (
        (f"{hours} h", f"{part} min" * (part > 0))
        if hours < 48
        else (f"{hours // 24} d", f"{hours % 24} h" * (hours % 24 > 0))
    )
    return f"{more} {less}".rstrip()


def when(at: Moment, now: Moment | None = None) -> str:
    """A time with its age at `now`: `2026-03-01 09:42 UTC (12 min ago)`."""
    age = (_utc(time.time() if now is None else now) - _utc(at)).total_seconds()
    return f"{_utc(at):%Y-%m-%d %H:%M} UTC ({f'in {duration(-age)}' if age < 0 else f'{duration(age)} ago'})"


def stamp(at: Moment) -> str:
    """The same of what happens now, such as a line of `watch`: with seconds in place of an age."""
    return f"{_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def _utc(at: Moment) -> datetime:
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    given = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
