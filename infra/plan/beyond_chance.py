"""When a count in one period is more than chance: the rule of the alarms that roll a release back or wake somebody.

    ratio(0.05, evidence(looks, alpha))    # metric math over the queries `part` and `whole`

A share of few requests says little: one failure among 15 is over 5%, and means nothing. So a period counts only when
its number of bad requests cannot well be chance.
"""

from __future__ import annotations

import math
from decimal import Decimal

from infra.config.rollout_settings import RolloutSettings

ALARMS = 2
"""What is looked at: failures and slowness. They share the probability of a false alarm."""


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_OFTEN = 10  # seconds from look to look at periods shorter than a minute


def looks(rollout: RolloutSettings, period_seconds: int) -> int:
    """How often an alarm is looked at while it can roll a release back: in its trial and in the watch after it.

    CloudWatch looks once a minute, at alarms with periods under a minute every ten seconds, at those that look back
    more than a day once an hour, and each time at the period that ends then. Longer periods so overlap, and each of
    them can ring. "M out of N" adds none: it asks for several of the same.

    Source: Amazon CloudWatch User Guide, "Alarm evaluation" and "Alarm evaluation window" (`SlidingWindow` is the
    default).
    """
    return looks_in((rollout.max_minutes + rollout.watch_minutes) * 60, period_seconds)


def looks_in(seconds: float, period_seconds: int) -> int:
    """How often an alarm of one period is looked at in a stretch of time, both its ends included."""
    step = _OFTEN if period_seconds < _MINUTE else _MINUTE if period_seconds <= _DAY else _HOUR
    return math.floor(seconds / step) + 1


def evidence(looks: int, alpha: float) -> float:
    """What each period needs, in nats, so that one of the alarms rings by chance with probability at most alpha.

    By the union bound over all looks and both alarms.
    """
    return math.log(ALARMS * looks / alpha)


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


def ratio(tolerated: float, nats: float) -> str:
    """The share of `part` in `whole` when `part` is above `least`, else 0, as metric math.

    It is to be compared with `tolerated`, which a share that is not 0 is always above. A period without a request has
    no value; one in which only `part` is missing has 0, as metric math takes a missing value for 0.

    Source: as `least`; Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics" (IF).
    """
    return f"IF(part > {bound('whole', tolerated, nats)}, part / whole, 0)"


def bound(requests: str, tolerated: float, nats: float) -> str:
    """What `least` says of the query that counts the requests, as metric math."""
    mean, spread, rest = (plain(value) for value in (tolerated, 2 * nats * tolerated, nats / 3))
    return f"({mean} * {requests} + ({spread} * {requests}) ^ 0.5 + {rest})"


def plain(number: float) -> str:
    """To six digits, without an exponent: metric math documents none."""
    return f"{Decimal(f'{number:.6g}').normalize():f}"
