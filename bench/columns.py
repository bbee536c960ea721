"""The statistic that `modelstack.monitoring.statistics.statistic` fills row by row, from whole columns."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modelstack.monitoring.bulk import Columns
from modelstack.monitoring.statistics.profile import Numeric, Profile
from modelstack.monitoring.statistics.statistic import Codes, Numbers, Statistic


def statistic(profile: Profile, columns: Columns) -> Statistic:
    """The statistic of columns of equal length, whose codes are texts or None; a feature without a column is absent."""
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns: got {sorted(lengths)} rows, expected one length")
    seen = Statistic(profile)
    seen.rows = lengths.pop() if lengths else 0
    for name, tally in seen.features.items():
        if name not in columns:
            tally.absent = seen.rows
        elif isinstance(tally, Codes):
            for value, count in Counter(columns[name].tolist()).items():
                tally.add(value, count)
        else:
            _count_numbers(tally, cast(Numeric, profile.columns[name]), columns[name])
    for name in columns.keys() - profile.columns.keys():
        if seen.rows:
            seen.fields.add(str(name), seen.rows)
    return seen


def _count_numbers(tally: Numbers, column: Numeric, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "fiu":
        for value in values.tolist():
            tally.add(value)
        return
    known = numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        known = numbers[finite]
        tally.missing = int(np.isnan(numbers).sum())
        tally.wrong = len(numbers) - len(known) - tally.missing
    if not len(known):
        return
    # One pass per edge is several times faster than sorting or searching for each value's bin.
    over = [int(np.count_nonzero(known > edge)) for edge in column.edges]
    tally.bins = [before - after for before, after in pairwise([len(known), *over, 0])]
    tally.below = int(np.count_nonzero(known < column.low))
    tally.above = int(np.count_nonzero(known > column.high))
