"""Measures drift batch by batch: each captured row counts once, whoever is called and however often.

What was counted is kept as one record a variant, with a revision: how far its captures were read, the block of rows
that is being filled and the bets on those before it (`monitoring.shift`), and the metrics that are still to be sent.
Its size depends on the features, not on the rows. A record is stored before its metrics are sent, on the condition that
nobody else stored one since it was read; so of two deliveries of one event one wins, and a killed one is finished by
the next. Counts that are sent but not noted as sent are sent again; rows never count again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from monitoring import capture
from monitoring.record import Datum, Reading, Record
from monitoring.reference import Reference
from monitoring.shift import DriftMonitor, Finding
from monitoring.statistic import Problem
from monitoring.unusual import Unusual, unusual
from rollout.records import Malformed

_OLDEST_S = 13 * 86_400  # CloudWatch takes no value that is two weeks old: it would refuse all, at every call
_ASIDE = 50  # unreadable lines that are kept aside of one file, and characters of each
_LONGEST = 2000


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

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Keep aside what could not be read in one file; a second time, it replaces the first."""
        ...


class Metrics(Protocol):
    """Where metrics go."""

    def put(self, data: Sequence[Datum]) -> None:
        """Send values."""
        ...


@dataclass
class Measured:
    """What one call found of one variant.

    Attributes:
        files: Files that were read by this call.
        rows: Rows that were counted by it.
        unreadable: Why lines hold no rows -> how many lines.
        unusual: What its rows hold that training's did not, by metric and feature.
        findings: What the blocks said that have ended.
        evidence: Feature -> its share of the evidence now.
        judged: How many blocks were ever judged; 0 also where training had too few to judge by.
        waiting: Rows of the block that is being filled.
        problems: What that block should not hold.
        forgotten: Why what was counted before could not be read, and counting began anew; None when it could.
    """

    files: int = 0
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter[str])
    unusual: Unusual = field(default_factory=Unusual)
    findings: list[Finding] = field(default_factory=list[Finding])
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])
    judged: int = 0
    waiting: int = 0
    problems: Sequence[Problem] = ()
    forgotten: str | None = None

    @property
    def most_evidence(self) -> float | None:
        """The most evidence, of the whole, after any block since the call before; None before the first block."""
        return max([sum(self.evidence.values()), *(one.evidence for one in self.findings)]) if self.judged else None


@dataclass(frozen=True)
class DriftWatch:
    """Measures the drift of captured requests.

    Attributes:
        captures: Where they lie.
        record: What was counted already.
        metrics: Where drift is told.
        false_alarms: How many are tolerated a year and variant, on average.
        every: Seconds a block at least, of a model whose rows have no times.
    """

    captures: Captures
    record: Record
    metrics: Metrics
    false_alarms: float
    every: float

    def measure(
        self,
        references: Mapping[str, Reference],
        now: float,
        unmeasured: Collection[str] = (),
        more: Callable[[], bool] = lambda: True,
    ) -> Mapping[str, Measured]:
        """Read what was captured since the last call, and tell what it says.

        Args:
            references: Variant -> what its model was trained on.
            now: Epoch seconds.
            unmeasured: Live variants whose reference cannot be had: each is counted, so that silence is not taken for
                "no drift". Their captures wait.
            more: Whether there is time for another file.

        Returns:
            What was found, by variant; those that another call is measuring are left out.
        """
        if unmeasured:
            self.metrics.put([Datum("DriftUnmeasured", variant, 1, "Count", now) for variant in unmeasured])
        found = {variant: self._variant(variant, reference, now, more) for variant, reference in references.items()}
        return {variant: measured for variant, measured in found.items() if measured is not None}

    def _variant(self, variant: str, reference: Reference, now: float, more: Callable[[], bool]) -> Measured | None:
        whole: Measured | None = None
        while True:
            part = self._batch(variant, reference, now, more)
            if part is None:
                return whole
            if not part.files:
                if whole is None:
                    self.metrics.put(_data(variant, part, now))  # a level, which may be told twice
                return whole or part
            whole = _together(whole, part) if whole is not None else part
            if not more():
                return whole

    def _batch(self, variant: str, reference: Reference, now: float, more: Callable[[], bool]) -> Measured | None:
        """Count some files, and tell what they say; None when another call is at it."""
        before = self._settled(variant, now)
        if before is None:
            return None
        found = Measured()
        monitor = self._monitor(reference, before.state, found)
        after = before.after
        found.unusual.subtract(unusual(monitor.cutter.seen))
        for after in self.captures.keys(variant, before.after):
            found.files += 1
            self._read(after, monitor, now, found)
            if not more():
                break
        found.unusual.update(unusual(monitor.cutter.seen))
        found.evidence = monitor.detector.by_feature
        found.judged = monitor.detector.blocks if monitor.detector.judges else 0
        found.waiting, found.problems = monitor.cutter.seen.rows, monitor.cutter.seen.problems()
        if not found.files:
            return found
        data = tuple(_data(variant, found, now))
        stored = self.record.write(variant, replace(before, after=after, state=monitor.as_dict(), unsent=data))
        if stored is None:
            return None
        self._send(variant, stored)
        return found

    def _monitor(self, reference: Reference, state: Mapping[str, Any] | None, found: Measured) -> DriftMonitor:
        try:
            return reference.monitor(self.false_alarms, self.every, state)
        except ValueError as error:  # of another version of this code
            found.forgotten = str(error)
            return reference.monitor(self.false_alarms, self.every)

    def _settled(self, variant: str, now: float) -> Reading | None:
        """The reading, once the metrics of an earlier call that was killed are sent."""
        before = self.record.read(variant)
        before = replace(before, unsent=tuple(item for item in before.unsent if item.at > now - _OLDEST_S))
        return self._send(variant, before) if before.unsent else before

    def _send(self, variant: str, reading: Reading) -> Reading | None:
        self.metrics.put(reading.unsent)
        return self.record.write(variant, replace(reading, unsent=()))

    def _read(self, key: str, monitor: DriftMonitor, now: float, found: Measured) -> None:
        """Count one file; what cannot be read of it is kept aside with the reason, and stops nothing."""
        aside: list[str] = []
        try:
            for line in self.captures.lines(key):
                for item in capture.read((line,)):
                    rows = capture.instances(item)
                    if isinstance(item, Malformed) or isinstance(rows, Malformed):
                        why = rows.why if isinstance(rows, Malformed) else ""
                        found.unreadable[why] += 1
                        aside.append(json.dumps({"why": why, "line": line[:_LONGEST].decode(errors="replace")}))
                        continue
                    at, told = capture.when(item, now)
                    for row in rows:
                        found.rows += 1
                        for finding in monitor.add(row, at, told=told):
                            found.findings.append(finding)
                            found.unusual.update(finding.unusual)
        except FileNotFoundError:
            found.unreadable["the file has gone since it was listed"] += 1
        if aside:
            self.captures.keep(key, aside[:_ASIDE])


def _together(one: Measured, other: Measured) -> Measured:
    """What two batches of one call found."""
    return replace(
        other,
        files=one.files + other.files,
        rows=one.rows + other.rows,
        unreadable=one.unreadable + other.unreadable,
        unusual=one.unusual + other.unusual,
        findings=[*one.findings, *other.findings],
        forgotten=one.forgotten or other.forgotten,
    )


def _data(variant: str, found: Measured, now: float) -> list[Datum]:
    data: list[Datum] = []
    if found.rows:
        data.append(Datum("CaptureRows", variant, found.rows, "Count", now))
    if found.unreadable:
        data.append(Datum("CaptureUnreadable", variant, found.unreadable.total(), "Count", now))
    data += [
        Datum(metric, variant, count, "Count", now, feature)
        for (metric, feature), count in found.unusual.items()
        if count
    ]
    if found.most_evidence is not None:
        data.append(Datum("DriftEvidence", variant, found.most_evidence, "None", now))
    if found.findings:
        last = found.findings[-1]
        data += [Datum("DriftDistance", variant, value, "None", now, name) for name, value in last.distance.items()]
        data += [Datum("DriftEvidence", variant, value, "None", now, name) for name, value in last.by_feature.items()]
    return data
