"""How far behind is the counting of captures and labels? The quality that `status` shows is as old."""

from __future__ import annotations

from cli.platform.choose import platform_of
from cli.target import Target

TOLD_FROM = 60.0
"""Seconds below which nothing is said: a file is counted some seconds after it was written."""


def read(target: Target) -> float:
    """Seconds that what was counted last had waited; 0 when nothing was within ten minutes.

    Raises:
        OperatorError: The metrics cannot be read.
    """
    return platform_of(target).delay()


def line(seconds: float) -> str:
    """The delay in a sentence; empty when there is none to speak of."""
    if seconds < TOLD_FROM:
        return ""
    return f"captures and labels are counted {seconds / 60:.0f} minutes after they came: what follows is as old"
