"""How far behind is the counting of captures and labels? The quality that `status` shows is as old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cli.errors import explained
from cli.measured import metric, values
from cli.target import Target
from monitoring.published import DELAY
from rollout.core.catalogue import OWN

TOLD_FROM = 60.0
"""Seconds below which nothing is said: a file is counted some seconds after it was written."""
_BACK = timedelta(minutes=10)


def read(target: Target) -> float:
    """Seconds that the file that was counted last had waited; 0 when none was within ten minutes.

    Raises:
        OperatorError: CloudWatch cannot be read.
    """
    end = datetime.now(UTC)
    with explained("reading how late captures are counted"):
        (found,) = values(target, [(metric(target, OWN, DELAY), "Maximum")], 60, end - _BACK, end)
    return found[-1] if found else 0.0


def line(seconds: float) -> str:
    """The delay in a sentence; empty when there is none to speak of."""
    if seconds < TOLD_FROM:
        return ""
    return f"captures and labels are counted {seconds / 60:.0f} minutes after they came: what follows is as old"
