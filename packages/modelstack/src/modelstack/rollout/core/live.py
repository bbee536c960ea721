"""The observed state of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]


Status = Literal["ready", "changing", "failed"]


@dataclass(frozen=True)
class Variant:
    """A live production variant; `weight` is the relative weight now, `desired` the one that it moves to."""

    weight: float
    desired: float
    instances: int


@dataclass(frozen=True)
class Live:
    """The observed state of an endpoint; `detail` is the platform's message, `failure` why the last change failed.

    While `changing`, `config` is the old or the new one. Variants in `shadows` only get copies of requests. `modified`
    is when the platform changed it last, 0 if unknown.
    """

    status: Status
    config: str
    variants: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    detail: str = ""
    shadows: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    failure: str = ""
    modified: float = 0.0

    def shares(self, *, desired: bool = False) -> dict[str, float]:
        """Percent of traffic per variant, current or desired; all 0 when no variant has a weight."""
        weights = {name: item.desired if desired else item.weight for name, item in self.variants.items()}
        total = sum(weights.values())
        return {name: 100 * weight / total if total > 0 else 0.0 for name, weight in weights.items()}
