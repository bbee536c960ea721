from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

FIRST = date(2013, 1, 1)
EVALUATED = 7


@dataclass(frozen=True)
class Parameters:
    """Settings of one version.

    Attributes:
        until: Days to train on; the seven days after them are for evaluation.
        timed: Whether rows say when they happened.
        refit: Whether what serves knows the days of the evaluation too.
    """

    until: Annotated[int, (1, 53)] = 20
    timed: bool = True
    refit: bool = False


def retrained(parameters: Parameters, through: date) -> dict[str, Any] | None:
    until = (through - FIRST).days - EVALUATED
    known = parameters.until + EVALUATED * parameters.refit
    return {"until": until} if until > known else None
