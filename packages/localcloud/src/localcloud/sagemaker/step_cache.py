"""By what is an earlier run of a step known to have done the same? Pure.

Source: "Caching pipeline steps" in the developer guide.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from localcloud.sagemaker.store import Document

_DURATION = re.compile(
    r"P?(?:(?P<y>\d+)Y)?(?:(?P<mo>\d+)M)?(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?"
    r"(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)S)?)?",
    re.IGNORECASE,
)
_SECONDS = {"y": 365 * 86_400, "mo": 30 * 86_400, "w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def seconds(duration: Any) -> float:
    """An ISO 8601 duration, as AWS takes it: `P30D`, `PT1H`, `30d`, `T16m`.

    Raises:
        ValueError: It is none.
    """
    found = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    parts = {name: int(value) for name, value in found.groupdict().items() if value} if found else {}
    if not parts:
        raise ValueError(f"ExpireAfter is {duration!r}; it is an ISO 8601 duration such as P30D or PT1H")
    return sum(number * _SECONDS[name] for name, number in parts.items())


def key(step_type: str, counted: frozenset[str], arguments: Document, besides: Document) -> str:
    """What two runs of a step must share.

    Args:
        step_type: Its type.
        counted: The arguments that count; all if it is empty.
        arguments: Without functions.
        besides: What else counts.
    """
    shared = {name: value for name, value in arguments.items() if not counted or name in counted}
    return hashlib.sha256(json.dumps([step_type, shared, besides], sort_keys=True).encode()).hexdigest()


def latest(runs: Iterable[Document], wanted: str, since: float) -> Document | None:
    """The newest of a pipeline's runs of steps that has a key, succeeded by itself, and ended after a time."""
    found = [
        run
        for run in runs
        if run.get("CacheKey") == wanted
        and run["StepStatus"] == "Succeeded"
        and "CacheHitResult" not in run
        and "SelectiveExecutionResult" not in run
        and run["EndTime"] >= since
    ]
    return max(found, key=lambda run: run["EndTime"], default=None)
