"""The drift reference of a model's training rows, which is sealed into the package."""

from __future__ import annotations

from monitoring.bulk import ROWS, sealed
from monitoring.drift.reference import Reference
from monitoring.statistics.conformal import FEWEST
from pipeline.rows import Rows, seconds


def reference(rows: Rows) -> Reference:
    """Take the reference of some rows, of which there must be at least one."""
    return Reference(*sealed(rows.columns, seconds(rows)))


def judged(reference: Reference) -> str:
    """Message for the trainer: how later drift will be judged."""
    blocks = [calibration.blocks for each in reference.null.scores.values() for calibration in each.values()]
    if blocks:
        return f"drift is judged against {max(blocks)} blocks of training"
    return (
        f"drift is told and not judged, so its alarm never rings: training has fewer than {FEWEST} days of rows or, "
        f"where rows have no times, than {FEWEST * ROWS} rows"
    )
