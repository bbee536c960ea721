"""The delay in processing captures and labels; the quality that `status` shows is as old."""

from __future__ import annotations

from cli.platform.choose import platform_of
from cli.target import Target

TOLD_FROM = 60.0
"""Seconds of delay that are normal: a file is processed some seconds after it was written."""


def read(target: Target) -> float:
    """The current delay in seconds; 0 when nothing was processed within ten minutes."""
    return platform_of(target).delay()


def line(seconds: float) -> str:
    """The delay in a sentence; empty when it is negligible."""
    if seconds < TOLD_FROM:
        return ""
    return f"captures and labels are counted {seconds / 60:.0f} minutes after they came: what follows is as old"
