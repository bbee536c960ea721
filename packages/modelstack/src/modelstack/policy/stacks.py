"""The differences between stacks, by their name or tags. No other module distinguishes stacks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelstack.policy.rule import Declared

IN_PROD = "stacks with `prod` or `production` in their name or their tag `environment`, but no `local` ones"
_PROD, _NOT_PROD = {"prd", "prod", "production"}, {"non", "not", "pre"}


@dataclass(frozen=True)
class Ceiling:
    """The most that the instances of one endpoint config may cost, US dollars a month, on some stacks."""

    stacks: str
    monthly: int


PROD = Ceiling(IN_PROD, 2000)
OTHERS = Ceiling("all others", 500)


def is_prod(resource: Declared) -> bool:
    """Whether a stack serves real requests, by a word in its name or in its tag `environment`.

    A stack whose name starts with `local` runs on one machine and serves none.
    """
    if resource.stack.startswith("local"):
        return False
    own = resource.values.get("tags")
    tags = {**resource.default_tags, **(own if isinstance(own, dict) else {})}
    marks = [str(value) for name, value in tags.items() if name.lower() == "environment"]
    named = (set(re.split(r"[^a-z]+", text.lower())) for text in (resource.stack, *marks))
    return any(words & _PROD and not words & _NOT_PROD for words in named)


def ceiling(resource: Declared) -> Ceiling:
    """The ceiling for an endpoint config."""
    return PROD if is_prod(resource) else OTHERS
