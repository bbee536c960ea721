"""When a count in one period is more than chance: the rule of the alarms that roll back or page.

A share of few requests says little: one failure among 15 is over 5%, and means nothing. So a period counts only if
its number of bad requests is unlikely to be chance.
"""

from __future__ import annotations

import math
from decimal import Decimal

ALARMS = 2
"""Failures and slowness, which share the probability of a false alarm."""


def evidence(evaluations: float, alpha: float) -> float:
    """Nats that each period needs, so that one of the alarms fires by chance with probability at most alpha.

    By the union bound over all evaluations and both alarms.
    """
    return math.log(ALARMS * evaluations / alpha)


def least(requests: float, tolerated: float, nats: float) -> float:
    """The count that a period of n requests must exceed: t n + sqrt(2 nats t n) + nats / 3, with t = `tolerated`.

    If each request is bad with probability at most t in (0, 1], independently, more than this many are bad with
    probability at most exp(-nats).

    Source: Boucheron, Lugosi, Massart, Concentration Inequalities (2013), section 2.4 (sub-gamma tails) and theorem
    2.10 (Bernstein's inequality), inverted for its count; the variance of n requests is at most t n.
    """
    return tolerated * requests + math.sqrt(2 * nats * tolerated * requests) + nats / 3


def bound(requests: str, tolerated: float, nats: float) -> str:
    """`least` as an expression of `requests`, the same in metric math and in PromQL."""
    mean, spread, rest = (plain(value) for value in (tolerated, 2 * nats * tolerated, nats / 3))
    return f"({mean} * {requests} + ({spread} * {requests}) ^ 0.5 + {rest})"


def plain(number: float) -> str:
    """A number to six digits without an exponent, which metric math does not document."""
    return f"{Decimal(f'{number:.6g}').normalize():f}"
