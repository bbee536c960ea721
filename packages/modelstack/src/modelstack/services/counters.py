"""The ports `Counters`, which reads counts per variant and window, and `Alarms`, the alarms on such counts.

query = CountQuery(("v-a", "v-b"), start, end, seconds=60)
counters.counts(query)[0].of("v-b")["errors"]       # Tally(count=40, total=1)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.rollout.controller.ports import Quantile
from modelstack.rollout.judge.metrics import Metric, Tally

COUNTED = "counted"
"""The tally of captured responses whose metrics were published: one value of `InvalidAnswers` each, in any rollout."""


@dataclass(frozen=True)
class CountQuery:
    """A query for counts.

    Attributes:
        start: Epoch seconds.
        end: Epoch seconds. Counts that do not reach up to here are unreachable.
        seconds: The width of a window.
        cuts: Variant -> name of a tally -> latency, one that `Counters.cut` returned.
        metrics: The project's and users' metrics to count besides requests; a mean also needs `<metric>Squared`.
        captured: Whether to count captured responses too, as `COUNTED`.
        provisional: Whether to include requests counted by `end`, though their windows may still change. Otherwise
            windows begin at multiples of `seconds` since 1970, and lie between the times. A last window that `end`
            cuts is always left out.
    """

    variants: tuple[str, ...]
    start: float
    end: float
    seconds: int
    cuts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    metrics: tuple[Metric, ...] = ()
    rollout_id: str = ""
    captured: bool = False
    provisional: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Begin of the first window and end of the last one, epoch seconds, at multiples of `seconds`."""
        first = math.floor(self.start / self.seconds) if self.provisional else math.ceil(self.start / self.seconds)
        return first * self.seconds, math.floor(self.end / self.seconds) * self.seconds


@dataclass(frozen=True)
class CountedWindow:
    """The counts of one window.

    Attributes:
        start: Epoch seconds.
        tallies: Variant -> name -> tally. `errors`: requests, and those answered 4XX or 5XX. `failed`: requests, and
            those answered 5XX. `unanswered`: requests, and those that no instance answered, which no other tally has,
            where the platform can tell. A name of `CountQuery.cuts`: responses, and those that took longer. A metric's
            name: its observations. `COUNTED`: captured responses whose metrics were published. A count that is not
            known exactly is absent, which does not mean 0.
        closed: Whether its requests are complete, as far as the platform can say.
    """

    start: int
    tallies: Mapping[str, Mapping[str, Tally]]
    closed: bool = True

    def of(self, variant: str) -> Mapping[str, Tally]:
        """The known tallies of a variant."""
        return self.tallies.get(variant, {})


class Counters(Protocol):
    """Counts per variant and window: a window counts its requests exactly, or has no count.

    Latencies have the platform's unit: microseconds on AWS and on Kubernetes.
    """

    def counts(self, query: CountQuery) -> Sequence[CountedWindow]:
        """The windows of a query, in order."""

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        """A quantile of a variant's latency within a part of the time from `start` to `end`; None without a request."""

    def cut(self, latency: float) -> float | None:
        """The latency nearest to a given one at which counts are exact; None if there is none near."""
        return latency

    def captured(self) -> float:
        """The share of responses that is captured, 0 to 1."""
        return 0.0


@dataclass(frozen=True)
class FiringAlarm:
    """A firing alarm, and when its platform last evaluated it, epoch seconds."""

    alarm: Alarm
    evaluated: float


@dataclass(frozen=True)
class ShareRule:
    """The rule of an alarm on the share of bad requests.

    Attributes:
        seconds: The time before an evaluation whose requests may have mattered.
        step: The seconds that are compared as one; divides `seconds`.
        slower_than: Responses that took longer are bad; None: those with 5XX are.
    """

    tolerated: float
    seconds: int
    step: int
    slower_than: float | None
    fires: bool


class Alarms(Protocol):
    """The alarms of an endpoint."""

    def firing(self, variants: Collection[str]) -> Sequence[FiringAlarm]:
        """The firing alarms on the responses of variants, or `modelstack.rollout.core.errors.RolloutError` if
        unreachable.
        """

    def rules(self, names: Collection[str]) -> Mapping[str, ShareRule]:
        """The rules of alarms by name; unknown alarms, and those on something else than a share, are left out."""
        return {}
