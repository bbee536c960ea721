"""The interval between the points of a graph."""

from __future__ import annotations

from cli.console.figure import Span

_INTERVALS = (60, 300, 900, 3600, 6 * 3600, 86400)
_RETAINED = ((63 * 86400, 3600), (15 * 86400, 300))  # seconds ago -> the shortest period that CloudWatch retains
_POINTS = 720  # of a curve, at most: more cannot be distinguished


def interval(shown: Span, now: float) -> int:
    """Seconds between two points so that a curve has few enough, all still retained.

    Source: "Metrics retention" in the Amazon CloudWatch User Guide.
    """
    few = next((each for each in _INTERVALS if (shown.end - shown.start) / each <= _POINTS), _INTERVALS[-1])
    return max(few, next((period for ago, period in _RETAINED if now - shown.start > ago), 0))
