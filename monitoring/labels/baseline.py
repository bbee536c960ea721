"""What a release showed when it was evaluated, sealed in its package as `baseline.json`.

    baseline = Baseline.from_dict(json.loads(text))
    baseline.performance       # of all rows
    baseline.usual             # how its blocks differed; None when they were too few

The form is that of `monitoring.labels.performance`, with `usual` beside its fields, the form of `concept.Usual`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monitoring.labels.concept import Usual
from monitoring.labels.performance import Performance
from monitoring.statistics.profile import an_object


@dataclass(frozen=True)
class Baseline:
    """What later labels are held against."""

    performance: Performance
    usual: Usual | None = None

    @classmethod
    def from_dict(cls, value: object) -> Baseline:
        """Read the content of a package's `baseline.json`.

        Raises:
            ValueError: It has another form.
        """
        usual = an_object(value, "baseline").get("usual")
        return cls(Performance.from_dict(value, "baseline"), None if usual is None else Usual.from_dict(usual))

    def as_dict(self) -> dict[str, Any]:
        """The content of `baseline.json`."""
        return {**self.performance.as_dict(), "usual": self.usual.as_dict() if self.usual else None}
