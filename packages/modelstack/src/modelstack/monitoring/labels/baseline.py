"""The performance of a release in its evaluation, sealed in its package as `baseline.json`.

The format is that of `performance.Performance`, with `usual` in the format of `concept.Usual`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.labels.concept import Usual
from modelstack.monitoring.labels.performance import Performance
from modelstack.monitoring.statistics.profile import an_object


@dataclass(frozen=True)
class Baseline:
    """The reference for later labels."""

    performance: Performance
    usual: Usual | None = None

    @classmethod
    def from_dict(cls, value: object) -> Baseline:
        """Read the content of `baseline.json`; ValueError if it has another format."""
        usual = an_object(value, "baseline").get("usual")
        return cls(Performance.from_dict(value, "baseline"), None if usual is None else Usual.from_dict(usual))

    def as_dict(self) -> dict[str, Any]:
        """The content of `baseline.json`."""
        return {**self.performance.as_dict(), "usual": self.usual.as_dict() if self.usual else None}
