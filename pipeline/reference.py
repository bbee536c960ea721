"""The model's training rows as `monitoring` measures drift against them; it is sealed into the package.

canonical(reference(rows).as_dict())    # reference.json
"""

from __future__ import annotations

from monitoring.bulk import ROWS, sealed
from monitoring.drift.reference import Reference
from monitoring.statistics.conformal import FEWEST
from pipeline.rows import Rows, seconds


def reference(rows: Rows) -> Reference:
    """Take what later requests are held against.

    Raises:
        ValueError: There are no rows.
    """
    return Reference(*sealed(rows.columns, seconds(rows)))


def judged(reference: Reference) -> str:
    """What can be said of drift later, for whoever trains."""
    blocks = [calibration.blocks for each in reference.null.scores.values() for calibration in each.values()]
    if blocks:
        return f"drift is judged against {max(blocks)} blocks of training"
    return (
        f"drift is told and not judged, so its alarm never rings: training has fewer than {FEWEST} days of rows or, "
        f"where rows have no times, than {FEWEST * ROWS} rows"
    )
