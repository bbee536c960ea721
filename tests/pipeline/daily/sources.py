"""There are no files: the rows are made."""

from __future__ import annotations

from pathlib import Path

READERS = ()


def files() -> dict[str, Path]:
    """Name -> path of each raw file."""
    return {}


def version() -> str:
    """The version of the data."""
    return "daily 1"
