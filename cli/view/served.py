"""How each variant has answered for a time: requests, failures and latency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cli.platform.choose import platform_of
from cli.platform.facts import ServedView
from cli.target import Target

_HOUR = timedelta(hours=1)


def read(target: Target, variants: Sequence[str]) -> tuple[ServedView, ...]:
    """The last hour of each variant that was asked anything.

    Raises:
        OperatorError: The metrics cannot be read.
    """
    end = datetime.now(UTC)
    return between(target, variants, end.replace(second=0, microsecond=0) - _HOUR + timedelta(minutes=1), end)


def between(target: Target, variants: Sequence[str], start: datetime, end: datetime) -> tuple[ServedView, ...]:
    """Each variant that was asked anything between two times.

    Raises:
        OperatorError: The metrics cannot be read.
    """
    return tuple(item for item in platform_of(target).served(variants, start, end) if item.requests)
