"""The quality of a variant by its newest answers and labels, and its metrics.

The size is constant. "Newest" are the last 1,000 to 2,000: the full bucket and the one being filled. Within a bucket
and between the parts of a call the order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.custom import BUCKET, EVIDENCE, FEWEST, RECENT, CustomMetrics, Tally
from modelstack.monitoring.labels.concept import Bets, Tolerated
from modelstack.monitoring.labels.estimated import estimated
from modelstack.monitoring.labels.pairs import JoinedRow
from modelstack.monitoring.labels.performance import Performance
from modelstack.monitoring.labels.quality import Form
from modelstack.monitoring.labels.reach import reach
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.labels.settling import Labelled
from modelstack.monitoring.published import CONCEPT_EVIDENCE, ESTIMATED, PAIRS, REALISED, SEGMENT_ERROR
from modelstack.monitoring.statistics.intervals import Interval
from modelstack.monitoring.statistics.profile import an_object


@dataclass(frozen=True)
class Promised:
    """What a release was sealed with; None for what was not sealed or is too little."""

    form: Form
    sealed: Performance | None = None
    tolerated: Tolerated | None = None


@dataclass(frozen=True)
class Gauge:
    """One value of a metric, of one segment `column=value` or of all."""

    name: str
    value: float
    segment: str | None = None


@dataclass
class CustomValues:
    """The newest values of custom metrics, by published name: a full bucket and the current one."""

    buckets: dict[str, tuple[Tally, Tally]] = field(default_factory=dict[str, tuple[Tally, Tally]])

    def take(self, tallies: Iterable[tuple[tuple[str, str], Tally]], metrics: CustomMetrics) -> None:
        """Add values by rollout and published name, and forget metrics that are declared no more."""
        for (_, name), tally in tallies:
            before, current = self.buckets.get(name, (Tally(), Tally()))
            current.merge(tally)
            full = current.count + current.failed >= BUCKET
            self.buckets[name] = (current, Tally()) if full else (before, current)
        if metrics.each:
            self.buckets = {name: pair for name, pair in self.buckets.items() if name in metrics.each}

    def newest(self, name: str) -> Tally:
        """The newest values of a metric."""
        whole = Tally()
        for one in self.buckets.get(name, ()):
            whole.merge(one)
        return whole

    def gauges(self, metrics: CustomMetrics) -> list[Gauge]:
        """The mean of the newest values with its interval, and the evidence of an alarm."""
        found: list[Gauge] = []
        for name, metric in metrics.each.items():
            newest = self.newest(name)
            if newest.count >= FEWEST:
                found += _ranges(name, {RECENT: metric.interval(newest)})
                found += [Gauge(f"{name}{EVIDENCE}", metric.evidence(newest))] if metric.alarm is not None else []
        return found

    def shown(self, metrics: CustomMetrics) -> dict[str, Any]:
        """The JSON for people, by the names of the metrics; nothing without metrics."""
        found: dict[str, Any] = {}
        for name, metric in metrics.each.items():
            newest = self.newest(name)
            known = metric.interval(newest) if newest.count >= FEWEST else None
            found[metric.name] = {
                "values": newest.count,
                "interval": [known.value, known.low, known.high] if known else None,
                "failed": newest.failed,
                "why": newest.why,
            }
        return {"custom": found, "custom_problem": metrics.problem} if found or metrics.problem else {}


@dataclass
class Standing:
    """The stored state of a variant: full (`before`) and current buckets of pairs and scores, and the bets."""

    before: Performance
    pairs: Performance
    asked_before: Scores
    asked: Scores
    bets: Bets
    custom: CustomValues = field(default_factory=CustomValues)

    @classmethod
    def new(cls) -> Standing:
        """The state of a new variant."""
        return cls(Performance(), Performance(), Scores(), Scores(), Bets())

    def take(
        self, rows: Iterable[tuple[str, JoinedRow]], answered: Iterable[Scores], promised: Promised | None
    ) -> None:
        """Add joined answers by inference id, and scores of answers with or without a label; judge nothing yet."""
        losses: list[Labelled] = []
        tolerated = promised.tolerated if promised else None
        loss = promised.form.loss[0] if promised else ""
        for _, row in sorted(rows, key=lambda item: (item[1].at, item[0])):
            for outcome in row.outcomes():
                self.pairs.add(outcome)
                if tolerated:
                    about = row.at if row.about is None else row.about
                    losses.append(Labelled(outcome.loss(loss), about, row.at))
                if self.pairs.pairs >= BUCKET:
                    self.before, self.pairs = self.pairs, Performance()
        if tolerated:
            self.bets.add(tolerated, losses)
        for scores in answered:
            self.asked.merge(scores)
            if self.asked.rows >= BUCKET:
                self.asked_before, self.asked = self.asked, Scores()

    def judge(self, promised: Promised | None) -> None:
        """Judge the settled losses."""
        if promised and promised.tolerated:
            self.bets.judge(promised.tolerated)

    @property
    def newest(self) -> Performance:
        """The newest pairs."""
        whole = Performance()
        whole.merge(self.before)
        whole.merge(self.pairs)
        return whole

    @property
    def newest_asked(self) -> Scores:
        """The scores of the newest answers."""
        whole = Scores()
        whole.merge(self.asked_before)
        whole.merge(self.asked)
        return whole

    def estimate(self, promised: Promised) -> dict[str, Interval]:
        """Estimated quality of the newest answers."""
        if promised.sealed is None:
            return {}
        return estimated(promised.form.binary, self.newest_asked, promised.sealed.scores)

    def realised(self, promised: Promised) -> dict[str, Interval]:
        """Quality by the newest labels; empty for too few."""
        newest = self.newest
        return newest.measures(binary=promised.form.binary) if newest.pairs >= FEWEST else {}

    def misses(self, promised: Promised) -> dict[str, float]:
        """By how much the estimate of the newest labelled answers exceeds their realised quality."""
        shown = self.realised(promised)
        if promised.sealed is None or not shown:
            return {}
        found = estimated(promised.form.binary, self.newest.scores, promised.sealed.scores)
        return {name: interval.value - shown[name].value for name, interval in found.items() if name in shown}

    def gauges(self, promised: Promised) -> list[Gauge]:
        """The metrics that have enough data."""
        found = [*_ranges(REALISED, self.realised(promised)), *_ranges(ESTIMATED, self.estimate(promised))]
        found += [Gauge(f"EstimateMiss{name}", value) for name, value in self.misses(promised).items()]
        newest = self.newest
        if newest.pairs >= FEWEST:
            found.append(Gauge(PAIRS, newest.pairs))
            for segment, interval in newest.segments().items():
                found += _ranges("", {SEGMENT_ERROR: interval}, segment)
        if promised.tolerated:
            found.append(Gauge(CONCEPT_EVIDENCE, self.bets.evidence(promised.tolerated)))
        return found

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "before": self.before.as_dict(),
            "pairs": self.pairs.as_dict(),
            "asked_before": self.asked_before.as_dict(),
            "asked": self.asked.as_dict(),
            "bets": self.bets.as_dict(),
            "custom": {name: [one.as_list() for one in pair] for name, pair in self.custom.buckets.items()},
        }

    @classmethod
    def from_dict(cls, value: object) -> Standing:
        """Read `as_dict`; ValueError for another format."""
        body = an_object(value, "standing")
        return cls(
            Performance.from_dict(body.get("before"), "before"),
            Performance.from_dict(body.get("pairs"), "pairs"),
            Scores.from_dict(body.get("asked_before"), "asked_before"),
            Scores.from_dict(body.get("asked"), "asked"),
            Bets.from_dict(body.get("bets"), "bets"),
            CustomValues(
                {
                    name: (Tally.from_list(before, name), Tally.from_list(current, name))
                    for name, (before, current) in body.get("custom", {}).items()
                }
            ),
        )


def _ranges(kind: str, measures: dict[str, Interval], segment: str | None = None) -> Iterator[Gauge]:
    for name, interval in measures.items():
        yield Gauge(f"{kind}{name}", interval.value, segment)
        yield Gauge(f"{kind}{name}Low", interval.low, segment)
        if interval.high < float("inf"):
            yield Gauge(f"{kind}{name}High", interval.high, segment)


def shown(standing: Standing, promised: Promised | None, at: float) -> dict[str, Any]:
    """The JSON of a variant's quality at a time (epoch seconds), by metric and segment.

    `promised` is None when the release is no longer known.
    """
    values: dict[str, float] = {}
    by_segment: dict[str, dict[str, float]] = {}
    for item in standing.gauges(promised) if promised else []:
        found = by_segment.setdefault(item.segment, {}) if item.segment else values
        found[item.name] = item.value
    return {
        "at": at,
        "since": standing.bets.since,
        "values": values,
        "by_segment": by_segment,
        "reach": reach(promised.tolerated).as_dict() if promised and promised.tolerated else None,
    }
