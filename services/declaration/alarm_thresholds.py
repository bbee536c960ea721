"""When a count in one period is more than chance: the rule of the alarms that roll a release back or page somebody.

    bound("requests", 0.05, evidence(evaluations, alpha))    # an expression, the same in metric math and in PromQL

A share of few requests says little: one failure among 15 is over 5%, and means nothing. So a period counts only when
its number of bad requests cannot well be chance.
"""

from __future__ import annotations

import math
from decimal import Decimal

ALARMS = 2
"""Failures and slowness. They share the probability of a false alarm."""


def evidence(evaluations: float, alpha: float) -> float:
    """What each period needs, in nats, so that one of the alarms fires by chance with probability at most alpha.

    By the union bound over all evaluations and both alarms.
    """
    return math.log(ALARMS * evaluations / alpha)


def least(requests: float, tolerated: float, nats: float) -> float:
    """The count that a period must be above.

    When each of n requests is bad with probability at most t, independently, more of them than this are so with
    probability at most exp(-nats): t n + sqrt(2 nats t n) + nats / 3.

    Args:
        requests: n, the requests of the period.
        tolerated: t, the share of them that may be bad, in (0, 1].
        nats: As `evidence` gives them.

    Source: Boucheron, Lugosi, Massart, Concentration Inequalities (2013), section 2.4 (sub-gamma tails) and theorem
    2.10 (Bernstein's inequality), inverted for its count; the variance of n requests is at most t n.
    """
    return tolerated * requests + math.sqrt(2 * nats * tolerated * requests) + nats / 3


def bound(requests: str, tolerated: float, nats: float) -> str:
    """`least` as an expression over the one that counts the requests."""
    mean, spread, rest = (plain(value) for value in (tolerated, 2 * nats * tolerated, nats / 3))
    return f"({mean} * {requests} + ({spread} * {requests}) ^ 0.5 + {rest})"


def plain(number: float) -> str:
    """To six digits, without an exponent, which metric math does not document."""
    return f"{Decimal(f'{number:.6g}').normalize():f}"
