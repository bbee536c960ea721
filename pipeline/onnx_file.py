"""The parts of a model whose folder holds `model.onnx`: the file is the model, and `features.py` declares its inputs.

Without a `data.py` there are no rows to know the inputs by: a few random ones, within the declared ranges, show that
the file answers, and drift is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.reference import Reference
from monitoring.drift.shift import Null
from monitoring.statistics.blocks import Cut
from monitoring.statistics.profile import Categorical, Column, Numeric, Profile
from pipeline.contract import ContractBroken
from serving.declaration import LARGEST, Declaration, Feature
from serving.onnx_file import OnnxFile

ROWS = 25
_SEED = 0


class Training:
    """The functions of `training.py`."""

    @staticmethod
    def train(rows: Any, settings: Any) -> OnnxFile:
        """The file, which must answer the rows."""
        OnnxFile().predict(rows)
        return OnnxFile()


class Data:
    """The functions of `data.py`."""

    def __init__(self, features: Mapping[str, Mapping[str, Any]]) -> None:
        self._declared = declared(features)

    def training(self, settings: Any) -> dict[str, Any]:
        """Random rows."""
        return self._rows(0)

    def evaluation(self, settings: Any) -> dict[str, Any]:
        """Others."""
        return self._rows(1)

    def _rows(self, number: int) -> dict[str, Any]:
        random = np.random.default_rng([_SEED, number])
        columns = {one.name: _values(one, random) for one in self._declared.features}
        return {**columns, "id": [f"{number}-{row}" for row in range(ROWS)]}

    def reference(self) -> Reference:
        """The reference of no rows: values out of the declared range are counted, and nothing is judged."""
        columns = dict(_columns(self._declared))
        return Reference(Profile(columns, 0, self._declared.watched), Null.of({}, Cut(0.0, ROWS)))


def declared(features: Mapping[str, Mapping[str, Any]]) -> Declaration:
    """The declaration of a model without rows, in which each feature has a kind."""
    if not features:
        raise ContractBroken(["model/features.py: found no FEATURES; expected one for each input of model/model.onnx"])
    try:
        return Declaration.from_dict([{"name": name, "kind": "number", **one} for name, one in features.items()])
    except (TypeError, ValueError) as error:
        raise ContractBroken([f"model/features.py: FEATURES: {error}"]) from None


def _values(feature: Feature, random: Any) -> NDArray[Any]:
    shape = (ROWS, *feature.shape)
    if feature.kind == "number":
        low, high = feature.limits
        if feature.dtype.startswith("float"):
            low, high = (low, high) if high - low < LARGEST else (max(low, -1.0), max(min(high, 1.0), low))
            return random.uniform(low, high, shape).astype(feature.dtype)
        return random.integers(low, min(high, low + 2**31), shape, feature.dtype, endpoint=True)
    if feature.kind == "boolean":
        return random.random(ROWS) < 0.5
    found = np.empty(ROWS, object)
    texts = list(feature.categories) or [feature.example]
    found[:] = [b"\x00"] * ROWS if feature.kind == "bytes" else [texts[row % len(texts)] for row in range(ROWS)]
    return found


def _columns(found: Declaration) -> Iterator[tuple[str, Column]]:
    for one in found.features:
        if one.watched is not None:
            yield from ((f"{one.name}.{name}", Numeric((), (0,), 0)) for name in one.watched)
        elif one.kind == "number":
            low, high = (end if abs(end) < LARGEST else end * float("inf") for end in one.limits)
            yield one.name, Numeric((), (0,), 0, low, high)
        else:
            yield one.name, Categorical((), (0,), 0)
