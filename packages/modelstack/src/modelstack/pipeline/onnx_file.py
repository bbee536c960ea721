"""The parts of a model whose folder holds `model.onnx`: the file is the model, and `features.py` declares its inputs.

Without a `data.py` there are no rows to know the inputs by: an example within the declared ranges shows that the file
answers, and drift is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.drift.shift import Null
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.profile import Categorical, Column, Numeric, Profile
from modelstack.pipeline.contract import ContractBroken
from modelstack.serving.declaration import LARGEST, Declaration, Feature
from modelstack.serving.onnx_file import OnnxFile

_ROWS_OF_A_BLOCK = 25


class Training:
    """The functions of `training.py`."""

    @staticmethod
    def train(rows: Any, settings: Any) -> OnnxFile:
        """The file, which must answer the rows, of which there are at least two: batches have any number."""
        try:
            OnnxFile().predict(rows)
        except Exception as error:  # whatever onnxruntime raises
            raise ContractBroken([f"model/model.onnx does not answer {len(rows)} rows: {error}"]) from None
        return OnnxFile()


class Data:
    """The functions of `data.py`, for `FEATURES` that give each feature its kind, by default a number."""

    def __init__(self, features: Mapping[str, Mapping[str, Any]]) -> None:
        given = [{"name": name, "kind": "number", **one} for name, one in features.items()]
        try:
            self._declared = Declaration.from_dict(given)
        except (TypeError, ValueError) as error:
            raise ContractBroken([f"model/features.py: FEATURES: {error}"]) from None

    def training(self, settings: Any) -> dict[str, Any]:
        """An example, twice."""
        return {**{one.name: [_example(one)] * 2 for one in self._declared.features}, "id": ["0", "1"]}

    def evaluation(self, settings: Any) -> dict[str, Any]:
        """The same, as other rows."""
        return {**self.training(settings), "id": ["2", "3"]}

    def reference(self) -> Reference:
        """The reference of no rows: values out of the declared range are counted, and nothing is judged."""
        profile = Profile(dict(_columns(self._declared)), 0, self._declared.watched)
        return Reference(profile, Null.of({}, Cut(0.0, _ROWS_OF_A_BLOCK)))


def _example(feature: Feature) -> Any:
    if feature.kind == "number":
        low, high = feature.limits
        return np.full(feature.shape, min(max(0, low), high), feature.dtype)
    if feature.kind == "text":
        return [*feature.categories, feature.example][0]
    return b"\x00" if feature.kind == "bytes" else False


def _columns(declared: Declaration) -> Iterator[tuple[str, Column]]:
    for one in declared.features:
        if one.watched is not None:
            yield from ((f"{one.name}.{name}", Numeric((), (0,), 0)) for name in one.watched)
        elif one.kind == "number":
            low, high = (end if abs(end) < LARGEST else end * float("inf") for end in one.limits)
            yield one.name, Numeric((), (0,), 0, low, high)
        else:
            yield one.name, Categorical((), (0,), 0)
