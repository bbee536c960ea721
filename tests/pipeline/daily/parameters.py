"""What can be set about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

FIRST = date(2013, 1, 1)
EVALUATED = 7


class ParameterError(ValueError):
    """A parameter cannot be used."""


@dataclass(frozen=True)
class Parameters:
    """Settings of one version.

    Attributes:
        until: Days to train on, 1 to 53; the seven days after them are for evaluation.
        timed: Whether rows say when they happened.
        refit: Whether what serves knows the days of the evaluation too.
    """

    until: int = 20
    timed: bool = True
    refit: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Every parameter, defaults included."""
        return asdict(self)


def parse(given: Mapping[str, Any]) -> Parameters:
    """Check parameters and fill in the defaults."""
    parameters = Parameters(**given)
    if not 1 <= parameters.until <= 53:
        raise ParameterError(f"until: {parameters.until} is not allowed: expected 1 to 53")
    return parameters


def retrained(parameters: Parameters, through: str) -> dict[str, Any]:
    """Train on all but the newest seven days."""
    until = (date.fromisoformat(through) - FIRST).days - EVALUATED
    known = parameters.until + EVALUATED * parameters.refit
    if until <= known:
        raise ParameterError(f"through: {through!r} is not allowed: nothing is newer")
    return {"until": until}
