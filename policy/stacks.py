"""What is asked of a stack by its name: the one place where stacks differ."""

from __future__ import annotations

from dataclasses import dataclass

IN_PROD = "`prod` and `prod-...`"


@dataclass(frozen=True)
class Ceiling:
    """What the instances of one endpoint config of a stack may cost.

    Attributes:
        stacks: The stacks, in words.
        monthly: US dollars a month.
    """

    stacks: str
    monthly: int


PROD = Ceiling(IN_PROD, 2000)
OTHERS = Ceiling("all others", 500)


def is_prod(stack: str) -> bool:
    """Whether a stack answers real requests: its name is `prod`, or begins with `prod-`."""
    return stack == "prod" or stack.startswith("prod-")


def ceiling(stack: str) -> Ceiling:
    """What the instances of one endpoint config may cost on a stack."""
    return PROD if is_prod(stack) else OTHERS
