"""The statistics of CloudWatch: `Average`, `p99`, `tm90`, `PR(:300)` and their kin.

    statistic = parse("p99")
    statistic.of(distribution)      # None when there are no data, or none that it can be told from

The simple ones are always exact, the others while a distribution has its values. Once it holds a sketch of them, a
bound that is a value, as in `PR(:300)`, is off by at most `RELATIVE_ERROR` of it.

Source: Amazon CloudWatch User Guide, "CloudWatch statistics definitions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from localcloud.cloudwatch.distribution import Distribution

SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_NUMBER = r"\d{1,3}(?:\.\d{1,10})?"
_SHORT = re.compile(rf"(p|tm|tc|ts|wm)({_NUMBER})")
_BOUND = r"(-?\d+(?:\.\d+)?%?)?"
_RANGE = re.compile(rf"(PR|TM|TC|TS|WM)\({_BOUND}:{_BOUND}\)")
_GRAMMAR = "one of SampleCount, Average, Sum, Minimum, Maximum, IQM, p90, tm90, tc90, ts90, wm90, PR(a:b), TM(a:b), ..."


@dataclass(frozen=True)
class Statistic:
    """One statistic.

    Attributes:
        name: As the client wrote it.
        kind: One of `SIMPLE`, or `p`, `tm`, `tc`, `ts`, `wm`, `pr`.
        low: Lower bound: a share in [0, 1] when `by_share`, else a value. `p` uses only `high`.
        high: Upper bound.
        by_share: Whether the bounds are shares of the values or values.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    by_share: bool = True

    @property
    def needs_values(self) -> bool:
        """Whether the values themselves are needed, not only count, sum, minimum and maximum."""
        return self.kind not in SIMPLE

    @property
    def is_percentile(self) -> bool:
        """Whether it is `p` and a number."""
        return self.kind == "p"

    def of(self, distribution: Distribution) -> float | None:
        """The statistic of these values, in their unit."""
        if distribution.count <= 0:
            return None
        if self.kind in SIMPLE:
            return _simple(self.kind, distribution)
        if self.kind == "p":
            return distribution.quantile(self.high)
        ranked = distribution.ranked()
        return None if ranked is None else self._trimmed(ranked, distribution)

    def significant(self, count: float) -> bool:
        """Whether `count` samples are enough for this percentile to mean something.

        AWS calls for 10 / (1 - p) of them when p is a half or more, else for 10 / p.
        """
        if not self.is_percentile or self.high >= 1:
            return True
        rare = 1 - self.high if self.high >= 0.5 else self.high
        return count >= 10 / rare * (1 - 1e-9)

    def _trimmed(self, ranked: Sequence[tuple[float, float]], distribution: Distribution) -> float | None:
        kept = _by_share(ranked, self.low, self.high) if self.by_share else _by_value(ranked, self.low, self.high)
        count = sum(weight for _, weight in kept)
        total = sum(value * weight for value, weight in kept)
        everything = distribution.count
        if self.kind == "pr":
            return 100 * count / everything
        if self.kind == "tc":
            return count
        if self.kind == "ts":
            return total
        if self.kind == "tm":
            return total / count if count else None
        low, high = self.low, self.high
        if self.by_share:
            low = distribution.quantile(self.low) or 0.0
            high = distribution.quantile(self.high) or 0.0
        return sum(min(max(value, low), high) * weight for value, weight in ranked) / everything


def parse(name: str) -> Statistic:
    """Read the name of a statistic.

    Raises:
        ValueError: There is no such statistic.
    """
    if name in SIMPLE:
        return Statistic(name, name)
    if name == "IQM":
        return Statistic(name, "tm", 0.25, 0.75)
    if short := _SHORT.fullmatch(name):
        share = float(short[2]) / 100
        if not 0 < share <= 1 and not (short[1] == "p" and share == 0):
            raise ValueError(f"statistic {name!r}: the percentage must be over 0 and at most 100")
        return Statistic(name, short[1], 0.0, share)
    if ranged := _RANGE.fullmatch(name):
        return _ranged(name, ranged[1].lower(), ranged[2], ranged[3])
    raise ValueError(f"there is no statistic {name!r}; expected {_GRAMMAR}")


def _ranged(name: str, kind: str, low: str | None, high: str | None) -> Statistic:
    given = [bound for bound in (low, high) if bound]
    by_share = bool(given) and all(bound.endswith("%") for bound in given)
    if not given or any(bound.endswith("%") != by_share for bound in given):
        raise ValueError(f"statistic {name!r}: give one bound or two, both in percent or both as values")
    if kind == "pr" and by_share:
        raise ValueError(f"statistic {name!r}: the bounds of PR are values, not percentages")
    scale = 100 if by_share else 1
    lower = float(low.rstrip("%")) / scale if low else (0.0 if by_share else -math.inf)
    upper = float(high.rstrip("%")) / scale if high else (1.0 if by_share else math.inf)
    if lower >= upper or (by_share and (lower < 0 or upper > 1)):
        raise ValueError(f"statistic {name!r}: the lower bound must be under the upper, percentages within 0 and 100")
    return Statistic(name, kind, lower, upper, by_share)


def _simple(kind: str, distribution: Distribution) -> float:
    return {
        "SampleCount": distribution.count,
        "Sum": distribution.total,
        "Average": distribution.total / distribution.count,
        "Minimum": distribution.low,
        "Maximum": distribution.high,
    }[kind]


def _by_share(ranked: Sequence[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    """The part of the weight between two shares of it; a value on the edge is kept in part."""
    everything = sum(weight for _, weight in ranked)
    start, end = low * everything, high * everything
    kept, seen = [], 0.0
    for value, weight in ranked:
        inside = min(seen + weight, end) - max(seen, start)
        seen += weight
        if inside > 0:
            kept.append((value, inside))
    return kept


def _by_value(ranked: Sequence[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    return [(value, weight) for value, weight in ranked if low < value <= high]
