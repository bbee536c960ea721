"""Metrics, and the tallies of both variants per window: counts and sums, which every cloud's metric store has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["rate", "quantile", "mean"]
PromoteWhen = Literal["not_worse", "better"]

_TAIL = 10  # requests that must be beyond a quantile before it is a pivot


class MetricError(ValueError):
    """A metric cannot be judged as given; `told` is the message without its name, `field` may be empty."""

    def __init__(
        self, metric: str, expected: str, *, field: str = "", value: object = None, missing: bool = False
    ) -> None:
        self.metric, self.expected, self.field, self.value, self.missing = metric, expected, field, value, missing
        self.told = f"{field} is {'missing' if missing else repr(value)}; {expected}" if field else expected
        super().__init__(f"metric {metric!r}: {self.told}")


@dataclass(frozen=True)
class Metric:
    """A measure on which the challenger may not be worse. Raises MetricError if a value is out of its range.

    Attributes:
        name: A built-in metric, such as `errors`, or a custom one.
        kind: `rate`: 0 or 1 per observation. `quantile`: of latency. `mean`: a bounded number per observation.
        margin: The tolerated worsening, >= 0. For a rate or a mean the absolute difference, in the metric's own unit;
            for a quantile relative to the champion's (0.25: 25% slower).
        prove: Whether every step must show it "not worse"; otherwise only the promotion waits for it, with less
            evidence.
        quantile: Between 0 and 1; only for the kind `quantile`.
        low: The least value of an observation; only for the kind `mean`. The publisher clips to [low, high].
        metric: Its name in `namespace`; empty for those that adapters know by `name`. A custom metric has the
            dimensions EndpointName, VariantName and RolloutId; a mean also publishes the squares, as `<metric>Squared`.
        expected: Whether the promotion also waits for the first value: every answer gives one, however late.
    """

    name: str
    kind: Kind
    margin: float
    better: Literal["lower", "higher"] = "lower"
    prove: bool = True
    quantile: float | None = None
    low: float = 0.0
    high: float = 1.0
    namespace: str = ""
    metric: str = ""
    expected: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise self._refused("margin", "expected a number of at least 0")
        if self.kind == "rate" and self.margin >= 1:
            raise self._refused("margin", "expected less than 1, as rates differ by at most 1")
        if self.kind == "quantile":
            if self.quantile is None or not 0 < self.quantile < 1:
                raise self._refused("quantile", "expected a number between 0 and 1")
            if self.better != "lower":
                raise self._refused("better", "a quantile of latency is better when lower")
        elif self.quantile is not None:
            raise self._refused("quantile", f"expected none, as the kind is {self.kind!r}")
        if self.kind == "mean":
            if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
                raise self._refused("low", f"expected low < high, both finite; high is {self.high}")
            if self.margin >= self.high - self.low:
                raise self._refused("margin", f"expected less than high - low = {self.high - self.low:g}")

    def _refused(self, field: str, expected: str) -> MetricError:
        return MetricError(self.name, expected, field=field, value=getattr(self, field))

    @property
    def requests_to_cut(self) -> int:
        """How many of the champion's requests fix a pivot; 0 unless it is a quantile."""
        return round(_TAIL / (1 - self.quantile)) if self.quantile is not None else 0


@dataclass(frozen=True)
class Tally:
    """One variant's observations on one metric in one window.

    Attributes:
        total: rate: how many are 1. quantile: how many were slower than the variant's threshold, which is the pivot for
            the champion and (1 + margin) times the pivot for the challenger. mean: the sum.
        squares: mean: the sum of squares. Otherwise unused.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0


@dataclass(slots=True)
class Worth:
    """The effective number of independent answers, with their sums. Not frozen: creating that takes thrice as long."""

    count: float
    total: float
    squares: float

    @property
    def variance(self) -> float:
        """The variance of one answer."""
        return max(self.squares / self.count - (self.total / self.count) ** 2, 1e-9)


Sums = Tally | Worth


@dataclass(frozen=True)
class Window:
    """The tallies of both variants in one window of time, by metric name; absent or `Tally()` without data."""

    start: float
    seconds: float
    champion: Mapping[str, Tally]
    challenger: Mapping[str, Tally]
