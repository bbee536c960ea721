"""The time range of a page, from its query: `hours`, or `from` and `to`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modelstack.cli.console.figure import Span
from modelstack.cli.errors import OperatorError

HOURS = {0.25: "15 min", 1.0: "1 h", 3.0: "3 h", 12.0: "12 h", 24.0: "1 d", 168.0: "7 d"}
_LEAST_S, _MOST_DAYS = 60, 455  # CloudWatch retains hourly data for so many days
_INTERVALS = (60, 300, 900, 3600, 6 * 3600, 86400)
_RETAINED = ((63 * 86400, 3600), (15 * 86400, 300))  # seconds ago -> the shortest period that CloudWatch retains
_POINTS = 720  # of a curve, at most: more cannot be distinguished


@dataclass(frozen=True)
class Range:
    """A time range; `hours` is the offered choice that ends now, None for a custom range."""

    span: Span
    hours: float | None = None

    @property
    def fields(self) -> tuple[str, str]:
        """Begin and end, UTC, as the form has them."""
        begin, end = (datetime.fromtimestamp(at, UTC) for at in (self.span.start, self.span.end))
        return begin.strftime("%Y-%m-%dT%H:%M:%S"), end.strftime("%Y-%m-%dT%H:%M:%S")


def requested_range(given: Mapping[str, str], now: float) -> Range:
    """The requested time range, by default the last hour; OperatorError names a field that is not allowed."""
    if given.get("from") or given.get("to"):
        return _custom(given, now)
    text = given.get("hours", "1")
    for hours in HOURS:
        if text == f"{hours:g}":
            return Range(Span(now - 3600 * hours, now), hours)
    offered = ", ".join(f"{hours:g}" for hours in HOURS)
    raise OperatorError(f"hours is {text!r}", f"Allowed are {offered}.", 2)


def interval(shown: Span, now: float) -> int:
    """Seconds between two points so that a curve has few enough, all still retained.

    Source: "Metrics retention" in the Amazon CloudWatch User Guide.
    """
    few = next((each for each in _INTERVALS if (shown.end - shown.start) / each <= _POINTS), _INTERVALS[-1])
    return max(few, next((period for ago, period in _RETAINED if now - shown.start > ago), 0))


def _custom(given: Mapping[str, str], now: float) -> Range:
    begin, end = _time("from", given), _time("to", given)
    if end - begin < _LEAST_S:
        raise OperatorError(
            f"from is {given['from']!r} and to is {given['to']!r}", f"to must be at least {_LEAST_S} s later.", 2
        )
    if begin < now - 86400 * _MOST_DAYS:
        raise OperatorError(f"from is {given['from']!r}", f"Allowed is at most {_MOST_DAYS} days ago.", 2)
    return Range(Span(begin, end))


def _time(name: str, given: Mapping[str, str]) -> float:
    text = given.get(name, "")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise OperatorError(f"{name} is {text!r}", "Expected a time in UTC such as 2026-03-01T12:00.", 2) from None
