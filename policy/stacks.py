"""What is asked of a stack by its name, or by its tags: the one place where stacks differ."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policy.rule import Declared

IN_PROD = "stacks with `prod` or `production` in their name or their tag `environment`, but no `local` ones"
_PROD, _NOT_PROD = {"prd", "prod", "production"}, {"non", "not", "pre"}


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


def is_prod(resource: Declared) -> bool:
    """Whether a resource answers real requests: by a word in the name of its stack, or by its tag `environment`.

    A stack whose name starts with `local` runs on one machine, and answers none.
    """
    if resource.stack.startswith("local"):
        return False
    own = resource.values.get("tags")
    tags = {**resource.default_tags, **(own if isinstance(own, dict) else {})}
    marks = [str(value) for name, value in tags.items() if name.lower() == "environment"]
    named = (set(re.split(r"[^a-z]+", text.lower())) for text in (resource.stack, *marks))
    return any(words & _PROD and not words & _NOT_PROD for words in named)


def ceiling(resource: Declared) -> Ceiling:
    """What the instances of an endpoint config may cost."""
    return PROD if is_prod(resource) else OTHERS
