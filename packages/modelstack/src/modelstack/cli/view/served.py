"""Requests, failures and latency of each variant in a time range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import ServedView
from modelstack.cli.target import Target

_HOUR = timedelta(hours=1)


def read(target: Target, variants: Sequence[str]) -> tuple[ServedView, ...]:
    """The last hour of each variant that had requests."""
    end = datetime.now(UTC)
    return between(target, variants, end.replace(second=0, microsecond=0) - _HOUR + timedelta(minutes=1), end)


def between(target: Target, variants: Sequence[str], start: datetime, end: datetime) -> tuple[ServedView, ...]:
    """The same between two times."""
    return tuple(item for item in platform_of(target).served(variants, start, end) if item.requests)
