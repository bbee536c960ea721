"""The names of a stack's resources: digests of their contents.

So a named resource never changes: Pulumi makes new ones next to the old ones, and the rollout controller moves the
traffic.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from modelstack.rollout.core.release import ID_DIGITS


def digest(content: Any) -> str:
    """sha256, in hex, of JSON content in canonical form: sorted keys, no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ReleaseNames:
    """The names of one stack that every platform has."""

    model: str
    stack: str

    @property
    def prefix(self) -> str:
        """The prefix of every name of the stack; also the name of its endpoint."""
        return f"{self.model}-{self.stack}"

    def model_of(self, recipe: str, image: str) -> str:
        """The platform's model of a recipe in an image."""
        return self.named({"recipe": recipe, "image": image})

    def config_of(self, model_name: str, variant_name: str, shape: dict[str, Any]) -> str:
        """The config that serves one model alone; `shape` is all that shapes its variant and capture."""
        return self.named({"model": model_name, "variant": variant_name, **shape})

    def pair_of(self, champion_config: str, challenger_config: str, copied: int | None = None) -> str:
        """The config that serves champion and challenger; with `copied` percent, the challenger only gets copies."""
        return self.named([champion_config, challenger_config, *([] if copied is None else [copied])])

    def short(self, name: str) -> str:
        """A name without the stack's prefix."""
        return name.removeprefix(f"{self.prefix}-")

    def named(self, content: Any) -> str:
        """The name of the resource with this content."""
        return f"{self.prefix}-{digest(content)[:ID_DIGITS]}"
