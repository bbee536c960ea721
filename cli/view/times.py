"""Times for people: every command and page writes one form of a time, with its age."""

from __future__ import annotations

from datetime import datetime


def duration(seconds: float) -> str:
    """Seconds as text for people."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def when(at: str, now: str) -> str:
    """A time of the journal with its age: `2026-03-01 09:42 UTC (12 min ago)`. Both are UTC, ISO 8601."""
    age = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()
    return f"{at[:16].replace('T', ' ')} UTC ({duration(max(age, 0))} ago)"
