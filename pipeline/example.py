"""A request that a model answers, out of its own training data: what a probe sends to see whether it still answers.

request(rows)    # {"instances": [{"distance": 1068.0, "carrier": "B6", ...}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from pipeline.contract import Rows

FILE = "example.json"
_LOOKED_AT = 1000


def request(rows: Rows) -> dict[str, Any]:
    """The first of the rows that lacks nothing, or else the very first, as the body of a request."""
    columns = rows.columns
    first = [_instance(columns, row) for row in range(min(len(rows), _LOOKED_AT))]
    return {"instances": [next((item for item in first if None not in item.values()), first[0])]}


def _instance(columns: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
    return {name: _plain(values[row]) for name, values in columns.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it: None for a missing one, a number or a text."""
    plain: Any = cast(Any, value).item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
