"""What people are shown of how a variant stands, as JSON values."""

from __future__ import annotations

from typing import Any

from monitoring.labels.reach import reach
from monitoring.labels.standing import Promised, Standing


def told(standing: Standing, promised: Promised | None, at: float) -> dict[str, Any]:
    """The values by metric, of all and of each segment.

    Args:
        standing: How it stands.
        promised: What its release was sealed with; None when the release is not known any more.
        at: When that was, epoch seconds.
    """
    values: dict[str, float] = {}
    by_segment: dict[str, dict[str, float]] = {}
    for item in standing.gauges(promised) if promised else []:
        shown = by_segment.setdefault(item.segment, {}) if item.segment else values
        shown[item.name] = item.value
    return {
        "at": at,
        "since": standing.bets.since,
        "values": values,
        "by_segment": by_segment,
        "reach": reach(promised.tolerated).as_dict() if promised and promised.tolerated else None,
    }
