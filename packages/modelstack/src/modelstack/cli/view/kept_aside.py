"""The labels, captured records and answers of the last day that were rejected; each is stored with its reason."""

from __future__ import annotations

from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.monitoring.published import CAPTURE_UNREADABLE, UNUSABLE
from modelstack.platforms.aws.names import CAPTURE_ASIDE, LABELS_ASIDE
from modelstack.rollout.core.catalogue import INVALID

HOURS = 24
FOLDERS = {f"{LABELS_ASIDE}/": (*UNUSABLE, INVALID), f"{CAPTURE_ASIDE}/": (CAPTURE_UNREADABLE,)}
"""The folders of the bucket with the reasons, and the metrics that count their entries."""
_METRICS = frozenset(name for names in FOLDERS.values() for name in names)


def read(target: Target) -> dict[str, int]:
    """Metric -> count in the last day over all variants, without zeros."""
    counts = platform_of(target).kept_aside(_METRICS, HOURS * 3600)
    return {name: round(count) for name, count in sorted(counts.items()) if count}


def line(counts: dict[str, int], *, in_cluster: bool = False) -> str:
    """The counts and where the reasons are stored, in a line; empty when there are none."""
    parts: list[str] = []
    for folder, names in FOLDERS.items():
        known = [f"{counts[name]:,} {name}" for name in names if counts.get(name)]
        if known:
            where = "in the table `aside`" if in_cluster else f"under {folder}"
            parts.append(f"{', '.join(known)}: the reasons lie {where}")
    return "; ".join(parts)
