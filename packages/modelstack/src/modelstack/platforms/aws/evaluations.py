"""How often CloudWatch evaluates an alarm, and the share of bad requests as metric math."""

from __future__ import annotations

import math

from modelstack.services.declaration.alarm_thresholds import bound

_MINUTE, _DAY, _HOUR = 60, 86400, 3600
_OFTEN = 10  # seconds between two evaluations at periods shorter than a minute


def evaluations(seconds: float, period_seconds: int) -> int:
    """The number of evaluations of an alarm in `seconds`, both ends included.

    CloudWatch evaluates once a minute, alarms with periods under a minute every ten seconds, those that look back more
    than a day once an hour, and each time the period that ends then. So longer periods overlap, and each of them can
    fire. "M out of N" adds none: it needs several of the same.

    Source: Amazon CloudWatch User Guide, "Alarm evaluation" and "Alarm evaluation window" (`SlidingWindow` is the
    default).
    """
    step = _OFTEN if period_seconds < _MINUTE else _MINUTE if period_seconds <= _DAY else _HOUR
    return math.floor(seconds / step) + 1


def ratio(tolerated: float, nats: float) -> str:
    """The share of `part` in `whole` if `part` is more than chance explains, else 0, as metric math.

    Compare it with `tolerated`, which any share other than 0 exceeds. A period without a request has no value; if only
    `part` is missing it is 0, as metric math takes a missing value for 0.

    Source: `alarm_thresholds.least`; Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
    """
    return f"IF(part > {bound('whole', tolerated, nats)}, part / whole, 0)"
