"""Measures drift batch by batch: each captured row counts once, whoever is called and however often.

What was counted is kept as one record with a revision: how far each variant's captures were read, the counts so far,
and the metrics that are still to be sent. A record is stored before its metrics are sent, on the condition that nobody
else stored one since it was read; so of two deliveries of one event one wins, and a killed one is finished by the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from monitoring import capture
from monitoring.drift import Histogram, Reference, drift
from rollout.records import Malformed

_KEPT = 20  # variants whose place is remembered
_OLDEST_S = 13 * 86_400  # CloudWatch takes no value that is two weeks old: it would refuse all, at every call


@dataclass(frozen=True)
class Datum:
    """One value of one metric.

    Attributes:
        name: The metric.
        variant: Which variant it is about.
        value: Its value.
        unit: CloudWatch's unit.
        at: Epoch seconds.
        feature: Which feature it is about; None for the variant as a whole.
    """

    name: str
    variant: str
    value: float
    unit: str
    at: float
    feature: str | None = None


@dataclass(frozen=True)
class Reading:
    """How far one variant's captures were read.

    Attributes:
        after: The last key that was read; empty before the first.
        counts: Rows per feature and bin since drift was last told.
        rows: How many rows these are.
    """

    after: str = ""
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    rows: int = 0


@dataclass(frozen=True)
class Readings:
    """The durable record.

    Attributes:
        revision: Counts the writes.
        variants: How far each variant was read.
        unsent: Metrics that are still to be sent.
    """

    revision: int = 0
    variants: Mapping[str, Reading] = field(default_factory=dict[str, Reading])
    unsent: tuple[Datum, ...] = ()


class Captures(Protocol):
    """Where captured requests lie."""

    def keys(self, variant: str, after: str) -> Sequence[str]:
        """The keys of a variant's files that are complete and come after a key, in order; a bounded number of them."""
        ...

    def lines(self, key: str) -> Iterable[bytes]:
        """The lines of one file.

        Raises:
            FileNotFoundError: It has gone since it was listed.
        """
        ...


class Record(Protocol):
    """Keeps the readings; a write lands only on the revision that was read."""

    def read(self) -> Readings:
        """The readings, or empty ones."""
        ...

    def write(self, readings: Readings) -> Readings | None:
        """Store the successor of a revision; None when another writer was first."""
        ...


class Metrics(Protocol):
    """Where metrics go."""

    def put(self, data: Sequence[Datum]) -> None:
        """Send values."""
        ...


@dataclass(frozen=True)
class Measured:
    """What one call found of one variant.

    Attributes:
        rows: Rows that were counted by this call.
        unreadable: Why lines hold no rows -> how many lines.
        waiting: Rows counted since drift was last told.
        drift: By feature; None when there were too few rows to tell.
    """

    rows: int
    unreadable: Mapping[str, int]
    waiting: int
    drift: Mapping[str, float] | None


@dataclass(frozen=True)
class DriftWatch:
    """Measures the drift of captured requests.

    Attributes:
        captures: Where they lie.
        record: What was counted already.
        metrics: Where drift is told.
        min_rows: The fewest rows that drift is told from; below, nothing is sent and the rows wait.
    """

    captures: Captures
    record: Record
    metrics: Metrics
    min_rows: int

    def measure(
        self, references: Mapping[str, Reference], now: float, unmeasured: Collection[str] = ()
    ) -> Mapping[str, Measured]:
        """Read what was captured since the last call, and tell the drift when there is enough of it.

        Args:
            references: Variant -> how its model's training data was distributed.
            now: Epoch seconds.
            unmeasured: Live variants whose reference cannot be had: each is counted, so that silence is not taken for
                "no drift". Their captures wait.

        Returns:
            What was found, by variant; empty when another call is measuring the same.
        """
        before = self._settled(now)
        if before is None:
            return {}
        found: dict[str, Measured] = {}
        variants = dict(before.variants)
        unsent = [Datum("DriftUnmeasured", variant, 1, "Count", now) for variant in unmeasured]
        for variant, reference in references.items():
            reading = before.variants.get(variant, Reading())
            variants.pop(variant, None)  # those that are gone longest are first, and are forgotten in the end
            variants[variant], found[variant] = self._read(variant, reference, reading)
            unsent += _data(variant, found[variant], now)
        if variants == before.variants and not unsent:
            return found
        after = self.record.write(replace(before, variants=dict([*variants.items()][-_KEPT:]), unsent=tuple(unsent)))
        if after is None:
            return {}
        self._send(after)
        return found

    def _settled(self, now: float) -> Readings | None:
        """The readings, once the metrics of an earlier call that was killed are sent."""
        before = self.record.read()
        before = replace(before, unsent=tuple(item for item in before.unsent if item.at > now - _OLDEST_S))
        return self._send(before) if before.unsent else before

    def _send(self, readings: Readings) -> Readings | None:
        self.metrics.put(readings.unsent)
        return self.record.write(replace(readings, unsent=())) if readings.unsent else readings

    def _read(self, variant: str, reference: Reference, reading: Reading) -> tuple[Reading, Measured]:
        seen = Histogram(reference, reading.counts, reading.rows)
        after, rows, unreadable = reading.after, 0, Counter[str]()
        for key in self.captures.keys(variant, reading.after):
            for found in self._captured(key):
                if isinstance(found, Malformed):
                    unreadable[found.why] += 1
                    continue
                for row in found:
                    seen.add(row)
                    rows += 1
            after = key
        if seen.rows < self.min_rows:
            return Reading(after, seen.counts, seen.rows), Measured(rows, unreadable, seen.rows, None)
        return Reading(after), Measured(rows, unreadable, 0, drift(reference, seen))

    def _captured(self, key: str) -> Iterator[capture.Rows | Malformed]:
        try:
            yield from map(capture.instances, capture.read(self.captures.lines(key)))
        except FileNotFoundError:
            yield Malformed("the file has gone since it was listed")


def _data(variant: str, found: Measured, now: float) -> list[Datum]:
    data: list[Datum] = []
    if found.unreadable:
        data.append(Datum("CaptureUnreadable", variant, sum(found.unreadable.values()), "Count", now))
    if found.drift:
        data.append(Datum("DriftPSI", variant, max(found.drift.values()), "None", now))
        data += [Datum("DriftPSI", variant, value, "None", now, name) for name, value in found.drift.items()]
    return data
