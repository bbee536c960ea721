"""How the training data was distributed, feature by feature: what drift is measured against.

The form, as JSON, which monitoring reads with the standard library:

    {"rows": 49674,
     "features": {
       "distance": {"kind": "numeric", "edges": [199.0, 340.0, ...], "counts": [5021, 4912, ...], "missing": 0},
       "carrier":  {"kind": "categorical", "counts": {"UA": 9021, ..., "other": 12}, "missing": 0}}}

- numeric: `edges` ascend strictly; value x falls into bin `bisect.bisect_left(edges, x)`, so bin i holds
  edges[i-1] < x <= edges[i], the first and the last bin are open, and there is one count more than edges. They are
  quantiles of the training data, so bins are about equally full; a feature with few values has fewer bins.
- categorical: the most frequent codes; `other` counts all the rest, and is where a code that is not listed belongs.
- `missing` counts rows without a value. Counts and missing sum up to `rows`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
CODES = 30
OTHER = "other"


def reference(columns: Mapping[str, NDArray[Any]], bins: int = BINS, codes: int = CODES) -> dict[str, Any]:
    """Count the training data into reference bins.

    Args:
        columns: Feature -> values, shape (rows,): numbers with NaN for missing, or strings with None for missing. An
            array of objects that are all numbers is one of numbers.
        bins: Most bins of a numeric feature.
        codes: Most codes of a categorical feature that are counted each by itself.

    Returns:
        The form above.

    Raises:
        ValueError: There are no rows, or the columns differ in length.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"cannot take a reference of columns with {sorted(lengths)} rows")
    return {
        "rows": lengths.pop(),
        "features": {
            name: _categorical(values, codes) if _are_codes(values) else _numeric(values.astype(float), bins)
            for name, values in ((name, np.asarray(given)) for name, given in columns.items())
        },
    }


def _are_codes(values: NDArray[Any]) -> bool:
    """Whether drift will meet these values as strings; a request has numbers where a column has them."""
    if values.dtype.kind == "O":
        known = [value for value in values if not _is_missing(value)]
        return not known or any(isinstance(value, str) for value in known)
    return values.dtype.kind == "U"


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and isnan(value))  # pandas has NaN among strings


def _numeric(values: NDArray[Any], bins: int) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    quantiles = np.linspace(0, 1, bins + 1)[1:-1]
    # `lower` picks values of the data, so that no arithmetic on them can differ from one machine to another.
    edges = np.unique(np.quantile(known, quantiles, method="lower")) if len(known) else known
    edges = edges[edges < known.max()] if len(known) else edges
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "kind": "numeric",
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
        "missing": len(values) - len(known),
    }


def _categorical(values: NDArray[Any], codes: int) -> dict[str, Any]:
    every = Counter(str(value) for value in values if not _is_missing(value))
    kept = sorted(every, key=lambda code: (-every[code], code))[:codes]
    counts = {code: every[code] for code in sorted(kept)}
    counts[OTHER] = counts.get(OTHER, 0) + every.total() - sum(counts.values())
    return {"kind": "categorical", "counts": counts, "missing": len(values) - every.total()}
