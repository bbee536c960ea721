"""What a step is given: folders, texts, and a folder to write its outcome into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract import Refusal


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

    def json(self, name: str) -> Any:
        """A text that is a JSON object.

        Raises:
            Refusal: It is none.
        """
        try:
            value = json.loads(self.texts[name])
        except ValueError as error:
            raise Refusal(f"{name}: {self.texts[name]!r} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(f"{name}: {self.texts[name]!r} is not a JSON object, such as {{}}")
        return value
