"""What do the instances of an endpoint cost, and is it too much?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy import tokens
from policy.rule import Declared, ResourceRule, value_at
from policy.stacks import ceiling
from policy.variants import variants

HOURS = 730
"""Of a month, as AWS's price calculator counts them."""
PRICED_ON = "2026-11-28"
HOURLY: Mapping[str, float] = {
    "ml.t2.medium": 0.056,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g5.xlarge": 1.408,
    "ml.p3.2xlarge": 3.825,
}
"""US dollars an hour of a SageMaker real-time instance, on demand, in us-east-1.

Source: Amazon SageMaker AI pricing, "Real-Time Inference", as public price tables repeat it. Written by hand on
`PRICED_ON`: AWS's price list cannot be read without a network, and a policy that waits for one would stop an update.
"""


def monthly(config: Declared) -> float:
    """What the instances of an endpoint config cost, in US dollars a month; those without a price are left out.

    Raises:
        NotKnown: Its variants are not known yet.
    """
    return HOURS * sum(
        HOURLY.get(value_at(variant, "instanceType"), 0) * (value_at(variant, "initialInstanceCount") or 1)
        for variant in variants(config)
    )


def _dear(config: Declared) -> Iterator[str]:
    cost, most = monthly(config), ceiling(config.stack).monthly
    if cost > most:
        yield f"its instances cost {cost:,.0f} USD a month, and stack {config.stack} may spend {most:,}"


def _not_priced(config: Declared) -> Iterator[str]:
    named = {value_at(variant, "instanceType") for variant in variants(config)}
    for kind in sorted(filter(None, named - HOURLY.keys())):
        yield f"{kind} is not priced, so the ceiling leaves it out"


RULES = (
    ResourceRule(
        name="cost-ceiling",
        asks="The instances of one endpoint config cost at most what the stack may spend.",
        control="AWS Well-Architected COST02-BP05",
        mend="Take fewer or smaller instances, or raise the ceiling in policy/stacks.py.",
        types=frozenset({tokens.CONFIG}),
        check=_dear,
    ),
    ResourceRule(
        name="priced",
        asks="The price of each instance type is known.",
        control="AWS Well-Architected COST02-BP05",
        mend="Write its price into policy/cost.py.",
        types=frozenset({tokens.CONFIG}),
        check=_not_priced,
        advisory=True,
    ),
)
