"""What came in during a day and could not be used: labels, captured records, answers. Each is kept with its reason."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.errors import explained
from cli.target import Target
from monitoring.published import CAPTURE_UNREADABLE, INVALID, UNUSABLE
from platforms.aws.metrics import ENDPOINT, VARIANT, dimensions, place
from platforms.aws.names import CAPTURE_ASIDE, LABELS_ASIDE
from rollout.core.catalogue import OWN

HOURS = 24
FOLDERS = {f"{LABELS_ASIDE}/": (*UNUSABLE, INVALID), f"{CAPTURE_ASIDE}/": (CAPTURE_UNREADABLE,)}
"""Where the reasons lie in the bucket, and the metrics that count what lies there."""
_METRICS = frozenset(name for names in FOLDERS.values() for name in names)
_HOUR = 3600


def read(target: Target) -> dict[str, int]:
    """Metric -> how many in the last day, of all variants; without those of which there were none.

    Raises:
        OperatorError: CloudWatch cannot be read.
    """
    client, mine = target.client("cloudwatch"), dimensions(place(target.endpoint))
    with explained("reading what was kept aside"):
        pages = client.get_paginator("list_metrics").paginate(Namespace=OWN, Dimensions=mine)
        found = [item for page in pages for item in page["Metrics"] if _counts(item)]
        if not found:
            return {}
        now, total = datetime.now(UTC), Counter[str]()
        queries = [
            {"Id": f"m{number}", "MetricStat": {"Metric": item, "Period": _HOUR, "Stat": "Sum"}}
            for number, item in enumerate(found)
        ]
        asked = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=now - timedelta(hours=HOURS), EndTime=now
        )
        for page in asked:
            for result in page["MetricDataResults"]:
                total[found[int(result["Id"].removeprefix("m"))]["MetricName"]] += round(sum(result["Values"]))
    return {name: count for name, count in sorted(total.items()) if count}


def line(counts: dict[str, int]) -> str:
    """The counts in a line, with where the reasons lie; empty when there are none."""
    parts: list[str] = []
    for folder, names in FOLDERS.items():
        known = [f"{counts[name]:,} {name}" for name in names if counts.get(name)]
        if known:
            parts.append(f"{', '.join(known)}: the reasons lie under {folder}")
    return "; ".join(parts)


def _counts(item: dict[str, Any]) -> bool:
    """Whether it counts over all of a variant or of the endpoint, and not a part of that."""
    names = {pair["Name"] for pair in item["Dimensions"]}
    return item["MetricName"] in _METRICS and names <= {ENDPOINT, VARIANT}
