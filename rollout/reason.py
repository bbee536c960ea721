"""Why a rollout goes forward or back: who says so, and on what grounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rollout import words
from rollout.kinds import Kind

Source = Literal["judge", "replay", "alarm", "person", "timeout", "endpoint", "release"]


@dataclass(frozen=True)
class Reason:
    """Why something was decided, as data; the sentence is made from it where people read it.

    Attributes:
        source: Who said so.
        name: The alarm, metric or person that said so.
        said: Words from outside, quoted: a person's, an alarm's or the platform's own. Nothing reads them.
        numbers: The numbers, each with its name.
        kind: What is said.
        facts: Further fields, as JSON values: ids of releases, a metric's kind, where it was looked for.
        beside: Another reason that this one rests on, or is told with.
    """

    source: Source
    name: str
    said: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    kind: Kind = Kind.SAID
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: Reason | None = None

    @property
    def text(self) -> str:
        """One sentence for a person."""
        return words.reason(self)

    def as_dict(self) -> dict[str, Any]:
        """The fields, and the sentence beside them, as plain JSON values."""
        return {**asdict(self), "text": self.text}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reason:
        """Read back what `as_dict` or `dataclasses.asdict` wrote."""
        beside = cls.from_dict(value["beside"]) if value["beside"] else None
        parts: dict[str, Any] = {name: value[name] for name in ("source", "name", "said", "numbers", "facts")}
        return cls(**parts, kind=Kind(value["kind"]), beside=beside)
