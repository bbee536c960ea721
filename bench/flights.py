"""The year's flights, as training data and as later rows in windows: what drift is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import data
from model.parameters import Parameters
from modelstack.monitoring.bulk import DAY
from modelstack.pipeline.rows import Rows, seconds

TRAINING = 49_674  # rows: those of January and February
Columns = Mapping[str, NDArray[Any]]


@lru_cache(maxsize=1)
def flights() -> tuple[Columns, NDArray[np.float64]]:
    """The flights of the whole year and their times, epoch seconds."""
    end, after = date(2013, 12, 31), date(2014, 1, 1)
    rows = Rows.of(data.training(Parameters(train_until=end, evaluate_from=end, evaluate_until=after)))
    return rows.columns, np.asarray(seconds(rows))


def picked(columns: Columns, places: NDArray[Any]) -> Columns:
    """Some rows of all columns."""
    return {name: values[places] for name, values in columns.items()}


def shuffled(seed: int) -> tuple[Columns, Columns]:
    """All flights in random order: as many to train on as January and February had, and the rest."""
    columns, times = flights()
    order = np.random.default_rng(seed).permutation(len(times))
    return picked(columns, order[:TRAINING]), picked(columns, order[TRAINING:])


def by_day(times: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """The places of each day's rows, of times in order, epoch seconds."""
    day = np.floor_divide(times, DAY)
    return np.split(np.arange(len(day)), np.flatnonzero(np.diff(day)) + 1)


def shuffled_days(days: Sequence[NDArray[np.int64]], seed: int, keep: int) -> list[NDArray[np.int64]]:
    """Whole days in random order, `keep` of them together."""
    starts = np.random.default_rng(seed).permutation(np.arange(0, len(days), keep)).tolist()
    return [days[one] for start in starts for one in range(start, min(start + keep, len(days)))]


def date_of(at: float) -> str:
    """The day of a time, YYYY-MM-DD."""
    return str(np.datetime64(int(at), "s").astype("datetime64[D]"))


@dataclass(frozen=True)
class Alarm:
    """An alarm that began or ended after a day of the year; of drift, that of a feature, or of the whole (empty)."""

    day: str
    on: bool
    feature: str = ""


def part(columns: Columns, start: int, length: int) -> Columns:
    """Some rows; from the first ones on again after the last."""
    return picked(columns, np.arange(start, start + length) % len(next(iter(columns.values()))))


def windows(columns: Columns, rows: int) -> Iterator[Columns]:
    """Consecutive windows."""
    number = len(next(iter(columns.values())))
    for start in range(0, number - rows + 1, rows):
        yield {name: values[start : start + rows] for name, values in columns.items()}


def twenty(columns: Columns, rows: int = 100_000) -> Columns:
    """Twenty columns of so many rows: the flights' features, and four of them once more."""
    names = [*columns, *list(columns)[3:7]]
    source = np.random.default_rng(3).integers(0, len(next(iter(columns.values()))), rows)
    return {f"{place}_{name}": columns[name][source] for place, name in enumerate(names)}
