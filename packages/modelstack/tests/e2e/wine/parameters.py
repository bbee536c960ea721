"""What can be set about the model. Standard library only: read on every `pulumi preview`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Parameters:
    """Settings of one version.

    Attributes:
        strength: Inverse of the regularisation.
    """

    strength: Annotated[float, (0.001, 1000)] = 1.0


def variant(settings: Parameters, number: int) -> dict[str, float]:
    """What to change for another version, about as good."""
    return {"strength": max(settings.strength, 0.002) * (1 - number / 1e7)}
