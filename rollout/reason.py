"""Why a rollout goes forward or back: who says so, and on what grounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["judge", "replay", "alarm", "person", "timeout", "endpoint", "release"]


@dataclass(frozen=True)
class Reason:
    """Why something was decided, in words and numbers.

    Attributes:
        source: Who said so.
        name: The alarm, metric or person that said so.
        text: One sentence for a person.
        numbers: The numbers behind the sentence.
    """

    source: Source
    name: str
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reason:
        """Read back what `dataclasses.asdict` wrote."""
        return cls(value["source"], value["name"], value["text"], dict(value["numbers"]))
