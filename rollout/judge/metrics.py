"""What is compared: metrics, and what both variants did on them, window by window.

Metric("errors", "rate", margin=0.02)
Metric("latency_p99", "quantile", margin=0.5, quantile=0.99)
Metric("log_loss", "mean", margin=0.02, low=0.0, high=5.0, prove=False)

A tally holds a count and one or two sums, which metric stores of every cloud can give; single observations are never
needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["rate", "quantile", "mean"]

_TAIL = 10  # a quantile is known well enough to compare at once so many requests lie beyond it


class MetricError(ValueError):
    """A metric cannot be judged as it is given.

    Attributes:
        metric: Its name.
        expected: What was expected.
        field: The field that is wrong; empty when that is no single one.
        value: What it is.
        missing: Whether it is not given at all.
        told: All of it but the metric's name, in a sentence.
    """

    def __init__(
        self, metric: str, expected: str, *, field: str = "", value: object = None, missing: bool = False
    ) -> None:
        self.metric, self.expected, self.field, self.value, self.missing = metric, expected, field, value, missing
        self.told = f"{field} is {'missing' if missing else repr(value)}; {expected}" if field else expected
        super().__init__(f"metric {metric!r}: {self.told}")


@dataclass(frozen=True)
class Metric:
    """One thing the challenger may not be worse at.

    Attributes:
        name: errors, latency_p50, latency_p99, accuracy, log_loss, absolute_error, or any of the user's.
        kind: `rate`: 0 or 1 per observation. `quantile`: of latency. `mean`: a bounded number per observation.
        margin: The tolerated worsening, >= 0. For a rate or a mean the absolute difference, in the metric's own unit;
            for a quantile relative to the champion's (0.25: 25% slower).
        better: Which way is good.
        prove: Whether every step must show it "not worse"; otherwise only the promotion waits for it, and for less.
        quantile: Which quantile, between 0 and 1; only for the kind `quantile`.
        low: The least value of an observation; only for the kind `mean`. Whoever publishes it clips to [low, high].
        high: The greatest value of an observation.
        namespace: Where adapters look for it.
        metric: Its name there; empty for those that adapters know by `name`. A user's metric is published with the
            dimensions EndpointName, VariantName and RolloutId; for the kind `mean` with `<metric>Squared` beside it,
            the squares of the values.
        expected: Whether the promotion waits for the first value, too: of what every answer gives, however late it is
            counted. Labels may never come.

    Raises:
        MetricError: A value is out of its range.
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
        """Refuse what cannot be judged."""
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
        """How many of the champion's requests tell where to cut latencies; 0 of what is no quantile."""
        return round(_TAIL / (1 - self.quantile)) if self.quantile is not None else 0


@dataclass(frozen=True)
class Tally:
    """What one variant did on one metric in one window.

    Attributes:
        count: Observations, >= 0.
        total: rate: how many are 1. quantile: how many were slower than the variant's threshold, which is the pivot for
            the champion and (1 + margin) times the pivot for the challenger. mean: the sum.
        squares: mean: the sum of squares. Otherwise unused.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0


class Sums(Protocol):
    """What bets are made on: a `Tally`, or what one is worth when its observations depend on each other."""

    @property
    def count(self) -> float:
        """How many observations."""
        ...

    @property
    def total(self) -> float:
        """Their sum."""
        ...

    @property
    def squares(self) -> float:
        """Their sum of squares."""
        ...


@dataclass(frozen=True)
class Window:
    """What both variants did in one window of time.

    Attributes:
        start: Epoch seconds.
        seconds: The window's width.
        champion: The champion's tallies, by metric name. A metric without data is absent or `Tally()`.
        challenger: The challenger's.
    """

    start: float
    seconds: float
    champion: Mapping[str, Tally]
    challenger: Mapping[str, Tally]
