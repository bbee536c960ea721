"""What is kept of the values that a metric had in one stretch of time.

Count, sum, minimum and maximum are exact. The values themselves are kept exactly, with how often each occurred, while
there are at most `EXACT` different ones; beyond that they go into a sketch of logarithmic bins, after which any
percentile is within `RELATIVE_ERROR` of an exact one. Distributions merge without further error, as the bins of all
are the same.

Source of the sketch: Masson, Rim, Lee, DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees, VLDB 2019 (section 2.1, the basic version).
"""

from __future__ import annotations

import math
import zlib
from array import array
from typing import Any

EXACT = 64
"""How many different values are kept as they are."""
RELATIVE_ERROR = 0.005
"""Of a percentile that comes out of a sketch, relative to the exact one."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_ZERO = -(2**31)
"""The bin of zero."""
_SMALLEST = 1e-150


class Distribution:
    """Values of a metric, by how often they occurred.

    Attributes:
        count: Number of values; a client may give fractions.
        total: Their sum.
        low: The least of them; infinity while there are none.
        high: The greatest; minus infinity while there are none.
        opaque: Whether values came in that only their statistics are known of, or that are negative. There are no
            percentiles then, as on AWS.
    """

    __slots__ = ("bins", "count", "high", "low", "opaque", "total", "values")

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.opaque = False
        self.values: dict[float, float] | None = {}
        self.bins: dict[int, float] | None = None

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take in a value that occurred `weight` times."""
        self.count += weight
        self.total += value * weight
        if not self.low <= value <= self.high:
            self.low, self.high = min(self.low, value), max(self.high, value)
        values = self.values
        if values is not None:
            values[value] = values.get(value, 0.0) + weight
            if value < 0:
                self._hide()
            elif len(values) > EXACT:
                self._sketch(values)
        elif self.bins is not None:
            if value < 0:
                self._hide()
            else:
                index = _bin(value)
                self.bins[index] = self.bins.get(index, 0.0) + weight

    def add_statistics(self, count: float, total: float, low: float, high: float) -> None:
        """Take in values of which only the statistics are known; when they are all equal they are known after all."""
        if count > 0 and low == high:
            self.add(low, count)
            return
        self.count += count
        self.total += total
        self.low = min(self.low, low)
        self.high = max(self.high, high)
        self._hide()

    def merge(self, other: Distribution) -> None:
        """Take in all that `other` has."""
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        if other.opaque or self.opaque:
            self._hide()
            return
        if self.values is not None and other.values is not None:
            for value, weight in other.values.items():
                self.values[value] = self.values.get(value, 0.0) + weight
            if len(self.values) > EXACT:
                self._sketch(self.values)
            return
        if self.values is not None:
            self._sketch(self.values)
        bins = self.bins
        if bins is None:
            return
        for index, weight in other._binned().items():
            bins[index] = bins.get(index, 0.0) + weight

    def copy(self) -> Distribution:
        """Another with the same content."""
        twin = Distribution()
        twin.count, twin.total, twin.low, twin.high, twin.opaque = (
            self.count,
            self.total,
            self.low,
            self.high,
            self.opaque,
        )
        twin.values = None if self.values is None else dict(self.values)
        twin.bins = None if self.bins is None else dict(self.bins)
        return twin

    def ranked(self) -> list[tuple[float, float]] | None:
        """Values with their weights, in ascending order; None when the values are not known."""
        if self.opaque:
            return None
        if self.values is not None:
            return sorted(self.values.items())
        return [(self._middle(index), weight) for index, weight in sorted((self.bins or {}).items())]

    def quantile(self, share: float) -> float | None:
        """The least value that a share (in [0, 1]) of the values is at or under: nearest rank, not interpolated.

        None when there are no values, or they are not known.
        """
        kept: dict[Any, float] | None = self.values if self.values is not None else self.bins
        if not kept:
            return None
        ordered = sorted(kept)
        rank, seen, found = share * self.count * (1 - 1e-12), 0.0, ordered[-1]
        for key in ordered:
            seen += kept[key]
            if seen >= rank:
                found = key
                break
        return found if self.values is not None else self._middle(found)

    def pack(self) -> bytes:
        """The values as bytes, to be kept; the statistics are not among them."""
        if self.opaque:
            return b"O"
        if self.values is not None:
            kind, keys, weights = b"E", array("d", self.values), array("d", self.values.values())
        else:
            bins = self.bins or {}
            kind, keys, weights = b"S", array("i", bins), array("d", bins.values())
        return kind + zlib.compress(keys.tobytes() + weights.tobytes(), 1)

    @classmethod
    def unpack(cls, count: float, total: float, low: float, high: float, packed: bytes | None) -> Distribution:
        """Rebuild what `pack` packed; without `packed`, the values are unknown.

        Raises:
            ValueError: `packed` is none of `pack`'s.
        """
        made = cls()
        made.count, made.total, made.low, made.high = count, total, low, high
        if not packed or packed == b"O":
            made._hide()
            return made
        kind, data = packed[:1], zlib.decompress(packed[1:])
        size = {b"E": 8, b"S": 4}.get(kind)
        if size is None or len(data) % (size + 8):
            raise ValueError(f"packed distribution of kind {kind!r} and {len(data)} bytes")
        split = len(data) // (size + 8) * size
        weights = array("d", data[split:])
        if kind == b"E":
            made.values = dict(zip(array("d", data[:split]), weights, strict=True))
        else:
            made.values, made.bins = None, dict(zip(array("i", data[:split]), weights, strict=True))
        return made

    def _hide(self) -> None:
        self.opaque, self.values, self.bins = True, None, None

    def _sketch(self, values: dict[float, float]) -> None:
        self.values = None
        self.bins = _binned(values)

    def _binned(self) -> dict[int, float]:
        return self.bins if self.bins is not None else _binned(self.values or {})

    def _middle(self, index: int) -> float:
        value = 0.0 if index == _ZERO else 2 * math.exp(index * _LOG_GAMMA) / (_GAMMA + 1)
        return min(max(value, self.low), self.high)


def _bin(value: float) -> int:
    return math.ceil(math.log(value) / _LOG_GAMMA) if value > _SMALLEST else _ZERO


def _binned(values: dict[float, float]) -> dict[int, float]:
    bins: dict[int, float] = {}
    for value, weight in values.items():
        index = _bin(value)
        bins[index] = bins.get(index, 0.0) + weight
    return bins
