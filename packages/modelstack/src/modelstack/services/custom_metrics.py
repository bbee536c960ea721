"""The metrics of the project's `monitoring/`, as the functions' archive or the controller's image holds them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from modelstack.monitoring.custom import FOLDER, CustomMetricError, CustomMetrics, load
from modelstack.monitoring.log import log

PLACE = Path(__file__).parents[2] / FOLDER
"""Where the archive and the image have them: next to the library."""


@lru_cache
def deployed(digest: str) -> CustomMetrics:
    """The metrics with a digest, by the stack's last update; without these files, metrics that say so."""
    if not digest:
        return CustomMetrics()
    try:
        found = load(PLACE)
    except (CustomMetricError, OSError) as error:
        problem = str(error)
    else:
        if found.digest == digest:
            return found
        problem = f"this worker has {f'definitions {found.digest}' if found.digest else 'no definitions'}"
    log("custom metrics not computed", expected=digest, problem=problem)
    return CustomMetrics(problem=f"{problem}, and the stack declares {digest}")
