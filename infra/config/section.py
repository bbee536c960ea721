"""What every section of the stack's config is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the config: unknown fields are errors, values never change.

    Attributes:
        REPLACED: Fields of earlier versions -> what is said of one that still stands in the file.
    """

    REPLACED: ClassVar[Mapping[str, str]] = {}

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
