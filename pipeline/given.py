"""What a step is given: folders, texts, and a folder to write its outcome into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """What the function of a step is called with.

    Attributes:
        root: The checkout: holds `model/`, `requirements/` and the rooms.
        folders: What it takes -> the folder; what is optional and was not given is not in it.
        texts: What it takes -> the text.
        out: An empty folder, for files and no folders.
    """

    root: Path
    folders: Mapping[str, Path]
    texts: Mapping[str, str]
    out: Path
