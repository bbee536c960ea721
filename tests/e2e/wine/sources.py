"""Which raw files the rows come from. Standard library only: read on every `pulumi preview`."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

READERS = ("scikit-learn",)


def files() -> dict[str, Path]:
    """The one file, found without importing scikit-learn."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-learn is not installed in this environment: run `make setup`")
    return {"wine_data.csv": Path(spec.origin).parent / "datasets" / "data" / "wine_data.csv"}


def version() -> str:
    """The version of the data."""
    return f"scikit-learn {metadata.version('scikit-learn')}"
