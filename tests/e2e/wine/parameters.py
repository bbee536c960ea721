"""What can be set about the model. Standard library only: read on every `pulumi preview`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


class ParameterError(ValueError):
    """A parameter cannot be used; the message has a line for each, `name: what is wrong`."""


@dataclass(frozen=True)
class Parameters:
    """Settings of one version.

    Attributes:
        strength: Inverse of the regularisation, 0.001 to 1000.
    """

    strength: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Every parameter, defaults included."""
        return asdict(self)


def parse(given: Mapping[str, Any]) -> Parameters:
    """Check parameters and fill in the defaults."""
    problems = [f"{name}: unknown parameter; the model has strength" for name in given if name != "strength"]
    strength = given.get("strength", 1.0)
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0.001 <= strength <= 1000:
        problems.append(f"strength: {strength!r} is not allowed: expected a number from 0.001 to 1000")
    if problems:
        raise ParameterError("\n".join(problems))
    return Parameters(float(strength))


def variant(parameters: Parameters, number: int) -> dict[str, Any]:
    """What to change for another version, about as good."""
    return {"strength": max(parameters.strength, 0.002) * (1 - number / 1e7)}
