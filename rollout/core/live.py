"""What an endpoint says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]


Status = Literal["ready", "changing", "failed"]


@dataclass(frozen=True)
class Variant:
    """A live production variant.

    Attributes:
        weight: The relative weight that routes traffic now.
        desired: The relative weight it is going to.
        instances: How many instances serve now.
    """

    weight: float
    desired: float
    instances: int


@dataclass(frozen=True)
class Live:
    """What the endpoint says of itself.

    Attributes:
        status: `ready` (takes changes), `changing`, or `failed`.
        config: The endpoint config that serves; while `changing`, it may be the old or the new one.
        variants: The production variants, by name.
        detail: The platform's own words on its status.
        shadows: The variants that only get copies of requests, by name.
        failure: Why the last change did not come to pass; empty when it did, or when none was made.
    """

    status: Status
    config: str
    variants: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    detail: str = ""
    shadows: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    failure: str = ""

    def shares(self, *, desired: bool = False) -> dict[str, float]:
        """Percent of traffic per variant, now or as asked for; all 0 when no variant has a weight."""
        weights = {name: item.desired if desired else item.weight for name, item in self.variants.items()}
        total = sum(weights.values())
        return {name: 100 * weight / total if total > 0 else 0.0 for name, weight in weights.items()}
