"""A measured number beside its goal."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import Any

_COMPARE = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "==": operator.eq}


quick = False
"""Whether every row is only tried out at a small size, so that it cannot rot; its numbers then mean nothing."""


def sized(full: int, least: int = 2) -> int:
    """How often, how many or how long: `full`, or a fiftieth of it when everything is only tried out."""
    return max(least, full // 50) if quick else full


@dataclass(frozen=True)
class Row:
    """One line of the results.

    Attributes:
        name: What was measured.
        value: The number, as seen.
        unit: Its unit; `ratio` for a quotient within this run.
        goal: Comparison and bound, such as `<= 3`; empty of a number that is only told.
        peer: What stands beside it, in words and numbers.
    """

    name: str
    value: float
    unit: str
    goal: str
    peer: str

    @property
    def met(self) -> bool | None:
        """Whether the value reaches the goal; None without one."""
        if not self.goal:
            return None
        comparison, bound = self.goal.split()
        return bool(_COMPARE[comparison](self.value, float(bound)))

    def as_dict(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return {**asdict(self), "met": self.met}
