"""The numbers that stand for an array, a text or bytes where these are too large to keep: in captures and in drift.

`modelstack.monitoring.statistics.summaries` computes the same of one value without NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstack.serving.declaration import Feature
from modelstack.serving.instances import Rows


def summarised(feature: Feature, values: Any) -> dict[str, NDArray[Any]]:
    """Summary -> one of each row, NaN where the value is missing.

    `values` is an array of shape (rows, ...), or the texts or bytes of the rows.
    """
    names = feature.watched or ()
    if not feature.shape:
        return {name: np.array([np.nan if one is None else len(one) for one in values], float) for name in names}
    flat = np.asarray(values).reshape(len(values), -1).astype(float, copy=False)
    how = {
        "mean": lambda: flat.mean(axis=1),
        "std": lambda: flat.std(axis=1),
        "min": lambda: flat.min(axis=1),
        "max": lambda: flat.max(axis=1),
        "norm": lambda: np.sqrt((flat * flat).sum(axis=1)),
        "zeros": lambda: np.where(np.isnan(flat[:, 0]), np.nan, (flat == 0).mean(axis=1)),
    }
    return {name: how[name]() for name in names}


def documents(rows: Rows, features: Sequence[Feature]) -> list[dict[str, Any]]:
    """The instances as captures keep them: in place of an array, bytes or a watched text, its summaries."""
    columns = rows.columns
    kept: list[list[Any]] = []
    for feature in features:
        values = columns[feature.name]
        if feature.watched is not None:
            found = {name: each.tolist() for name, each in summarised(feature, values).items()}
            missing = [one is None or (feature.shape and one.flat[0] != one.flat[0]) for one in values]
            values = [
                None if gone else {name: each[row] for name, each in found.items()} for row, gone in enumerate(missing)
            ]
        kept.append(values)
    return [dict(zip(columns, row, strict=True)) for row in zip(*kept, strict=True)]
