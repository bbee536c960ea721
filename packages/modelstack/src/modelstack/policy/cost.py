"""The monthly cost of an endpoint's instances, and its ceiling.

Prices are in `prices.json`, because other packages read them and may not import this one. They are written by hand: a
policy that fetches a price list could block an update.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelstack.policy import tokens
from modelstack.policy.rule import Declared, ResourceRule, value_at
from modelstack.policy.stacks import ceiling
from modelstack.policy.variants import variants

_PRICES = json.loads(Path(__file__).with_name("prices.json").read_bytes())
PRICED_ON: str = _PRICES["priced_on"]
HOURS: int = _PRICES["hours_a_month"]
"""Of a month, as AWS's price calculator counts them."""
HOURLY: Mapping[str, float] = _PRICES["hourly"]
"""US dollars an hour of a SageMaker real-time instance, by its type."""


def monthly(config: Declared) -> float:
    """The most that the instances of an endpoint config cost, US dollars a month, without unpriced types."""
    return HOURS * sum(
        HOURLY.get(value_at(variant, "instanceType"), 0)
        * max(
            value_at(variant, "initialInstanceCount") or 1,
            value_at(variant, "managedInstanceScaling", "maxInstanceCount") or 0,
        )
        for variant in variants(config)
    )


def _dear(config: Declared) -> Iterator[str]:
    cost, most = monthly(config), ceiling(config).monthly
    if cost > most:
        yield f"its instances cost {cost:,.0f} USD a month, and stack {config.stack} may spend {most:,}"


def _not_priced(config: Declared) -> Iterator[str]:
    named = {value_at(variant, "instanceType") for variant in variants(config)}
    for kind in sorted(filter(None, named - HOURLY.keys())):
        yield f"{kind} is not priced, so the ceiling leaves it out"


RULES = (
    ResourceRule(
        name="cost-ceiling",
        requires="The instances of one endpoint config cost at most what the stack may spend.",
        control="AWS Well-Architected COST02-BP05",
        fix="Take fewer or smaller instances, or raise the ceiling in modelstack/policy/stacks.py.",
        types=frozenset({tokens.CONFIG}),
        check=_dear,
    ),
    ResourceRule(
        name="priced",
        requires="The price of each instance type is known.",
        control="AWS Well-Architected COST02-BP05",
        fix="Write its price into modelstack/policy/prices.json.",
        types=frozenset({tokens.CONFIG}),
        check=_not_priced,
        advisory=True,
    ),
)
