"""178 wines of three cultivars with 13 measurements each (UCI), as scikit-learn brings them. They have no dates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_wine

from model.parameters import Parameters

EVERY = 4  # each fourth wine is for evaluation; the file is sorted by cultivar


@dataclass(frozen=True)
class Wines:
    """Rows: a name, the true cultivar and the measurements of each."""

    id: list[str]
    label: NDArray[np.str_]
    columns: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.id)

    @property
    def table(self) -> NDArray[np.float64]:
        """The estimator's input, shape (rows, measurements)."""
        return np.column_stack(list(self.columns.values()))


@dataclass(frozen=True)
class Event:
    """One request of a replay. It has no time: `modelstack replay` sends at --rate."""

    id: str
    instance: dict[str, float]
    label: str
    event_time: None = None
    label_at: None = None


def training(_: Parameters) -> Wines:
    """The wines to train on."""
    return _wines(lambda number: number % EVERY != 0)


def evaluation(_: Parameters) -> Wines:
    """The other wines."""
    return _wines(lambda number: number % EVERY == 0)


def replay(since: str | None = None, until: str | None = None) -> Iterator[Event]:
    """All wines, over and over, each time under another name."""
    wines = _wines(lambda number: True)
    for number in count():
        row = number % len(wines)
        instance = {name: float(values[row]) for name, values in wines.columns.items()}
        yield Event(f"{wines.id[row]}-{number // len(wines)}", instance, str(wines.label[row]))


def _wines(belongs: Any) -> Wines:
    raw: Any = load_wine()
    rows = [number for number in range(len(raw.target)) if belongs(number)]
    return Wines(
        id=[f"wine-{number}" for number in rows],
        label=raw.target_names[raw.target[rows]],
        columns={name: raw.data[rows, place] for place, name in enumerate(raw.feature_names)},
    )
