"""The arguments of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """The arguments of a step's function.

    Attributes:
        root: The checkout: holds `model/`, `requirements/` and our packages.
        folders: Input -> folder; optional ones may be missing.
        out: An empty folder, for files only.
    """

    root: Path
    folders: Mapping[str, Path]
    texts: Mapping[str, str]
    out: Path
