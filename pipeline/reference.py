"""The model's training rows as `monitoring` measures drift against them; it is sealed into the package.

canonical(reference(rows).as_dict())    # reference.json
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.bulk import ROWS, sealed
from monitoring.drift.reference import Reference
from monitoring.statistics.conformal import FEWEST
from pipeline.contract import Rows
from pipeline.rows import seconds


def reference(rows: Rows) -> Reference:
    """Take what later requests are held against.

    Raises:
        ValueError: There are no rows.
    """
    columns = {name: _as_requested(np.asarray(values)) for name, values in rows.columns.items()}
    return Reference(*sealed(columns, seconds(rows)))


def judged(reference: Reference) -> str:
    """What can be said of drift later, for whoever trains."""
    blocks = [calibration.blocks for each in reference.null.scores.values() for calibration in each.values()]
    if blocks:
        return f"drift is judged against {max(blocks)} blocks of training"
    return (
        f"drift is told and not judged, so its alarm never rings: training has fewer than {FEWEST} days of rows or, "
        f"where rows have no times, than {FEWEST * ROWS} rows"
    )


def _as_requested(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers or codes, as a request will have them: an array of objects that are all numbers is one of numbers."""
    if values.dtype.kind != "O":
        return values
    known = [value for value in values if value is not None and value == value]  # noqa: PLR0124  NaN, as pandas has it
    if known and all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in known):
        return values.astype(float)  # None becomes NaN
    return values
