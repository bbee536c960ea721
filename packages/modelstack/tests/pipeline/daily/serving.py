from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelstack.serving.sealed import Sealed


def load(folder: Path) -> Any:
    return Sealed(json.loads((folder / "model.joblib").read_text()), {}, folder)


def predict(model: Any, rows: Any) -> dict[str, Any]:
    probability = [model.estimator["above" if x > 0 else "below"] for x in rows.columns["x"]]
    return {"yes": [one > 0.5 for one in probability], "probability": probability}
