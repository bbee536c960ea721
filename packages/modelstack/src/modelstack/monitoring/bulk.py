"""Statistics of whole columns with numpy, for training and batch jobs.

Lambda functions count row by row and must not import this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstack.monitoring.drift.shift import Null, scores
from modelstack.monitoring.labels.concept import Usual
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.conformal import FEWEST
from modelstack.monitoring.statistics.profile import OTHER, Categorical, Column, Numeric, Profile
from modelstack.monitoring.statistics.summaries import Summaries

BINS = 20  # most bins of a numeric feature
CODES = 30  # most codes of a categorical feature that are counted individually
NAMED_RARE = 2000  # rare codes that are listed; if there are more, none is
ROWS = 25  # rows per block if rows have no times and so count as independent
BLOCKS = 64  # at most, per wave: rows of a wave arrive together, so smaller blocks detect nothing earlier
DAY = 86_400.0
WAVE = 25 * DAY  # minimum distance: months are waves, weeks are not

Columns = Mapping[str, NDArray[Any]]


def sealed(
    columns: Columns, times: NDArray[np.float64] | None = None, summaries: Summaries | None = None
) -> tuple[Profile, Null]:
    """Take the profile of the training data, and how its blocks differ from one another.

    `columns` hold numbers with NaN for missing, or an object array of codes with None; shape (rows,). `times` are
    ascending epoch seconds, or None for independent rows. `summaries` say which columns are those of a feature.

    Raises ValueError if there are no rows, or columns or times differ in length.
    """
    profile = replace(taken(columns), summaries=summaries or {})
    block, sizes, cut = _blocks(profile.rows, times)
    kept = np.flatnonzero(sizes >= cut.rows)
    found = {name: _block_scores(profile.columns[name], columns[name], block, len(sizes)) for name in profile.columns}
    judged = {name: [each[place] for place in kept] for name, each in found.items()}
    return profile, Null.of(judged, cut)


def usual(
    losses: NDArray[np.float64], high: float, times: NDArray[np.float64] | None = None, *, waves: bool = False
) -> Usual | None:
    """How the mean losses of the evaluation's blocks differ; None if there are too few blocks to judge by.

    A loss is at most `high`; `times` are as for `sealed`, in any order. With `waves` (see `are_waves`) blocks are cut
    by rows, also within one time.
    """
    wave = float(times.max()) if waves and times is not None else None
    fewest = ROWS if wave is None else max(ROWS, len(losses) // BLOCKS)
    block, sizes, cut = _blocks(len(losses), times if wave is None else None, fewest)
    means = np.bincount(block, weights=losses) / sizes
    return Usual.of(means[sizes >= cut.rows].tolist(), cut, high, wave)


def are_waves(times: NDArray[np.float64], before: NDArray[np.float64] | None = None) -> bool:
    """Whether rows only have the times of a few waves that are weeks apart, such as a yearly survey.

    `before` holds the times of the training rows, because an evaluation on a single date does not tell.
    """
    own = np.unique(times)
    known = own if before is None else np.union1d(own, before)
    return bool(len(own) < FEWEST and len(known) > 1 and np.diff(known).min() >= WAVE)


def _blocks(
    rows: int, times: NDArray[np.float64] | None, least: int = ROWS
) -> tuple[NDArray[np.int64], NDArray[np.int64], Cut]:
    """The block of each row, the number of rows in each block, and how to cut later rows."""
    if times is None:
        _, block, sizes = np.unique(np.arange(rows) // least, return_inverse=True, return_counts=True)
        return block, sizes, Cut(0.0, least)
    if len(times) != rows:
        raise ValueError(f"times: got {len(times)}, expected {rows}, one a row")
    spans = 1
    while True:
        found = np.floor_divide(times, spans * DAY).astype(np.int64)
        _, block, sizes = np.unique(found, return_inverse=True, return_counts=True)
        # Rare short days (a storm, the ends of the period) are no blocks, neither here nor later.
        fewest = int(np.quantile(sizes, 0.1, method="lower"))
        if fewest >= least or len(sizes) < 2 * FEWEST:
            return block, sizes, Cut(spans * DAY, max(least, fewest))
        spans += 1  # most days are short, so a block is several of them


def taken(columns: Columns) -> Profile:
    """Take the profile of columns of equal length with at least one row; booleans are codes."""
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"cannot take a profile of columns with {sorted(lengths)} rows")
    made = {
        name: _numeric(values) if values.dtype.kind in "fiu" else _categorical(values)
        for name, values in columns.items()
    }
    return Profile(made, lengths.pop())


def _numeric(values: NDArray[Any]) -> Numeric:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return Numeric((), (0,), len(values))
    quantiles = np.linspace(0, 1, BINS + 1)[1:-1]
    # `lower` picks values of the data, so that no arithmetic can differ between machines.
    edges = np.unique(np.quantile(known, quantiles, method="lower"))
    edges = edges[edges < known.max()]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    ends = float(known.min()), float(known.max())
    return Numeric(tuple(edges.tolist()), tuple(counts.tolist()), len(values) - len(known), *ends)


def _categorical(values: NDArray[Any]) -> Categorical:
    every = Counter(str(value) for value in values.tolist() if value is not None and value == value)  # noqa: PLR0124  NaN
    total = every.total()
    every.pop(OTHER, None)
    kept = sorted(sorted(every, key=lambda code: (-every[code], code))[:CODES])
    counts = [every[code] for code in kept]
    rare = every.keys() - set(kept)
    known = frozenset(rare) if len(rare) <= NAMED_RARE else None
    return Categorical(tuple(kept), (*counts, total - sum(counts)), len(values) - total, known)


def _block_scores(
    column: Column, values: NDArray[Any], block: NDArray[np.int64], blocks: int
) -> list[dict[str, float]]:
    """The scores of every block, each compared with the rest of training."""
    place = _places(column, values)
    wide = column.bins + 1
    table = np.bincount(block * wide + place, minlength=blocks * wide).reshape(blocks, wide)
    return [scores(column, row[:-1], row[-1], part=True) for row in table.tolist()]


def _places(column: Column, values: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of every value; a missing value gets the index after the last bin."""
    if isinstance(column, Numeric):
        numbers = values.astype(np.float64)
        return np.where(np.isfinite(numbers), np.searchsorted(column.edges, numbers), column.bins).astype(np.int64)
    last, places = column.bins - 1, column.places
    known = (
        column.bins if value is None or value != value else places.get(str(value), last)  # noqa: PLR0124  NaN
        for value in values.tolist()
    )
    return np.fromiter(known, dtype=np.int64, count=len(values))
