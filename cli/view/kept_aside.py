"""What came in during a day and could not be used: labels, captured records, answers. Each is kept with its reason."""

from __future__ import annotations

from cli.platform.choose import platform_of
from cli.target import Target
from monitoring.published import CAPTURE_UNREADABLE, UNUSABLE
from platforms.aws.names import CAPTURE_ASIDE, LABELS_ASIDE
from rollout.core.catalogue import INVALID

HOURS = 24
FOLDERS = {f"{LABELS_ASIDE}/": (*UNUSABLE, INVALID), f"{CAPTURE_ASIDE}/": (CAPTURE_UNREADABLE,)}
"""Where the reasons lie in the bucket, and the metrics that count what lies there."""
_METRICS = frozenset(name for names in FOLDERS.values() for name in names)


def read(target: Target) -> dict[str, int]:
    """Metric -> how many in the last day, of all variants; without those of which there were none.

    Raises:
        OperatorError: The metrics cannot be read.
    """
    counts = platform_of(target).kept_aside(_METRICS, HOURS * 3600)
    return {name: round(count) for name, count in sorted(counts.items()) if count}


def line(counts: dict[str, int], *, in_cluster: bool = False) -> str:
    """The counts in a line, with where the reasons lie; empty when there are none.

    Args:
        counts: Metric -> how many.
        in_cluster: Whether the endpoint is in a cluster, where they lie in PostgreSQL.
    """
    parts: list[str] = []
    for folder, names in FOLDERS.items():
        known = [f"{counts[name]:,} {name}" for name in names if counts.get(name)]
        if known:
            where = "in the table `aside`" if in_cluster else f"under {folder}"
            parts.append(f"{', '.join(known)}: the reasons lie {where}")
    return "; ".join(parts)
