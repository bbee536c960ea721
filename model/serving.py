"""Predictions: whether a flight will be late, and the probability."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from modelstack.serving.sealed import Sealed, read

THRESHOLD = 0.5
SLOW_SECONDS = 2.0

_calls = count(1)


def load(folder: Path) -> Sealed:
    """Read the model from its unpacked, verified package; one that rehearses a failure fails from here on."""
    model = read(folder)
    fault = model.parameters.fault
    return model if fault == "none" else Rehearsal(model.estimator, model.parameters, folder, fault)


def predict(model: Sealed, rows: Any) -> dict[str, Any]:
    """For each row, `late` and its `probability`, 0 to 1."""
    probability = model.predict_proba(rows)[:, 1]
    return {"late": probability >= THRESHOLD, "probability": probability}


@dataclass(frozen=True)
class Rehearsal(Sealed):
    """A version that fails on purpose, see `parameters.py`."""

    fault: str = "none"

    def predict_proba(self, rows: Any) -> Any:
        """Fail as the parameter says, but not on the first call, which is the sealed example at start-up."""
        call = next(_calls)
        if call > 1 and self.fault == "slow":
            time.sleep(SLOW_SECONDS)
        if self.fault == "errors" and call % 2 == 0:
            raise RuntimeError("this version fails every second time: parameter fault is 'errors'")
        return super().predict_proba(rows)
