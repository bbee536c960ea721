"""It is never served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(folder: Path, host: str, port: int) -> None:
    """Serve."""
    raise NotImplementedError


def answers(estimator: Any, rows: Any) -> Iterator[dict[str, Any]]:
    """A prediction for each row."""
    for x in rows.columns["x"]:
        probability = estimator["above" if x > 0 else "below"]
        yield {"yes": probability > 0.5, "probability": probability}
