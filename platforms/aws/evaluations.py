"""How often CloudWatch evaluates an alarm, and the share of bad requests as metric math. Pure."""

from __future__ import annotations

import math

from services.declaration.alarm_thresholds import bound

_MINUTE, _DAY, _HOUR = 60, 86400, 3600
_OFTEN = 10  # seconds between two evaluations at periods shorter than a minute


def evaluations(seconds: float, period_seconds: int) -> int:
    """How often an alarm of one period is evaluated in a stretch of time, both its ends included.

    CloudWatch evaluates once a minute, alarms with periods under a minute every ten seconds, those that look back more
    than a day once an hour, and each time the period that ends then. Longer periods so overlap, and each of them can
    fire. "M out of N" adds none: it needs several of the same.

    Source: Amazon CloudWatch User Guide, "Alarm evaluation" and "Alarm evaluation window" (`SlidingWindow` is the
    default).
    """
    step = _OFTEN if period_seconds < _MINUTE else _MINUTE if period_seconds <= _DAY else _HOUR
    return math.floor(seconds / step) + 1


def ratio(tolerated: float, nats: float) -> str:
    """The share of `part` in `whole` when `part` is more than chance explains, else 0, as metric math.

    It is to be compared with `tolerated`, which a share that is not 0 is always above. A period without a request has
    no value; one in which only `part` is missing has 0, as metric math takes a missing value for 0.

    Source: `alarm_thresholds.least`; Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
    """
    return f"IF(part > {bound('whole', tolerated, nats)}, part / whole, 0)"
