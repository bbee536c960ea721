"""Drift measurement file by file: each captured row counts once, whatever the number and order of calls.

A call counts every file after the last counted one, in key order, and those named in its event that come earlier and
were not counted (files of several instances interleave). A sweep searches for late files itself.

The state of a variant is one record of constant size: the open block, the bets on earlier blocks, the last key, and
unsent metrics. It is stored together with a mark on each counted file, all or nothing, if nobody else wrote since it
was read. So one of two concurrent calls wins, and the other looks again at what is left to count.

No file blocks those after it. A file that exhausts memory is set aside, logged, and counted for an alarm. A call that
is killed (memory, time) cannot report that, so each call records its start. After each call without an end the next
reads half as many files; after three that die on a single file, that file is set aside unread.

Metrics are sent after the write; a later sweep sends those of a killed call. Counts may be sent twice if noting that
they were sent fails; rows never count twice.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from modelstack.monitoring import captured
from modelstack.monitoring.captured import Malformed, Recorded
from modelstack.monitoring.drift.record import Record
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.drift.shift import BlockResult, DriftMonitor, Unusual, unusual
from modelstack.monitoring.log import log
from modelstack.monitoring.measurements import Datum, Metrics
from modelstack.monitoring.published import (
    CAPTURE_ROWS,
    CAPTURE_UNREADABLE,
    DRIFT_DISTANCE,
    DRIFT_EVIDENCE,
    DRIFT_UNMEASURED,
)
from modelstack.monitoring.statistics.statistic import Problem

FILES = 50
"""Files per write; with more, other variants get their turn in between."""
_DEADLY = FILES.bit_length() - 1 + 3
"""Killed calls after which a file is set aside: those that halve `FILES` down to one, and three with that one."""
_OLDEST_S = 13 * 86_400  # metric stores refuse a whole batch for one value that is two weeks old
_ABANDONED_S = 900.0  # no call lasts that long
_ASIDE = 50  # unreadable lines that are stored per file, and (below) characters of each
_LONGEST = 2000


class Captures(Protocol):
    """The store of captured requests."""

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        """At most `most` keys of a variant's files after a key, in order."""

    def recent(self, variant: str, until: str) -> Collection[str]:
        """The keys of the last hours up to one."""

    def exchanges(self, key: str) -> Iterable[tuple[bytes, Recorded | Malformed]]:
        """The exchanges in one file, each with its line; raises FileNotFoundError if it was deleted meanwhile."""

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Set aside the unreadable lines of one file; a repeated call replaces the first."""


@dataclass
class Measured:
    """The result of one call for one variant.

    Attributes:
        unreadable: Reason -> number of lines; a file that was set aside (`aside`) counts as one.
        evidence: Feature -> its share of the evidence now.
        judged: Blocks judged since the release; 0 also if training had too few to judge by.
        waiting: Rows of the open block; `problems` are the violations in it.
        forgotten: Why the stored state could not be read and counting restarted; None if it could.
        unfinished: Whether time ran out before all files were read.
        failure: Why the measurement was aborted; None if it was not.
    """

    files: int = 0
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter[str])
    aside: list[str] = field(default_factory=list[str])
    unusual: Unusual = field(default_factory=Unusual)
    findings: list[BlockResult] = field(default_factory=list[BlockResult])
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])
    judged: int = 0
    waiting: int = 0
    problems: Sequence[Problem] = ()
    forgotten: str | None = None
    unfinished: bool = False
    failure: Exception | None = None

    def take(self, findings: Iterable[BlockResult]) -> None:
        """Add findings of completed blocks."""
        for finding in findings:
            self.findings.append(finding)
            self.unusual.update(finding.unusual)

    @property
    def most_evidence(self) -> float | None:
        """The most evidence of the whole after any block since the previous call; None before the first block."""
        return max([sum(self.evidence.values()), *(one.evidence for one in self.findings)]) if self.judged else None

    def log(self, **where: str) -> None:
        """Write the result as one log line, with the fields of `where`."""
        log(
            "drift",
            **where,
            rows=self.rows,
            unreadable=self.unreadable,
            aside=self.aside,
            blocks=[{"rows": one.rows, "evidence": one.evidence, "drifted": one.drifted} for one in self.findings],
            judged=self.judged,
            waiting=self.waiting,
            evidence=self.most_evidence,
            worst=max(self.evidence, key=self.evidence.__getitem__, default=None),
            problems=[vars(problem) for problem in self.problems],
            forgotten=self.forgotten,
            unfinished=self.unfinished,
            failure=repr(self.failure) if self.failure else None,
        )


@dataclass(frozen=True)
class _Call:
    now: float
    sweeps: bool
    more: Callable[[], bool]


@dataclass(frozen=True)
class DriftWatch:
    """Measures the drift of captured requests.

    `false_alarms` are tolerated per year and variant, on average. A block lasts at least `every` seconds if the rows of
    a model have no times.
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
        named: Mapping[str, Collection[str]] | None = None,
        unmeasured: Collection[str] = (),
        more: Callable[[], bool] = lambda: True,
    ) -> Mapping[str, Measured]:
        """Count captures that were not counted yet, and publish the result; a failure of one variant stops no other.

        Args:
            references: Variant -> reference of its model.
            now: Epoch seconds.
            named: Variant -> files that have arrived. None: a sweep, which searches for late files, ends a block whose
                time is over, publishes evidence even without new captures, and sends what killed calls left.
            unmeasured: Live variants without a readable reference: counted, so that silence is not taken for "no
                drift". Their captures wait.
            more: Whether there is time for another file.
        """
        if unmeasured:
            self.metrics.put([Datum(DRIFT_UNMEASURED, "", len(unmeasured), "Count", now)])
        call = _Call(now, named is None, more)
        found = {variant: Measured() for variant in references}
        waiting, late = deque(references), {variant: set(keys) for variant, keys in (named or {}).items()}
        while waiting:
            variant = waiting.popleft()
            try:
                if call.sweeps and variant not in late:
                    late[variant] = self._swept(variant, now)
                part = self._turn(variant, references[variant], late.get(variant, ()), call)
            except Exception as error:
                found[variant].failure = error
                continue
            if part is not None:
                found[variant] = _together(found[variant], part)
            if part is None or part.unfinished:
                found[variant].unfinished = True
                if more():
                    waiting.append(variant)
        return found

    def late(self, variant: str, keys: Collection[str]) -> set[str]:
        """Uncounted files among the given ones that come before the last counted one, so that no listing shows them."""
        return self._late(self.record.read(variant).after, keys)

    def _late(self, after: str, keys: Collection[str]) -> set[str]:
        passed = {key for key in keys if key <= after}
        return passed - self.record.counted(passed) if passed else passed

    def _swept(self, variant: str, now: float) -> set[str]:
        """Send what a killed call left, and find files that arrived late without an event."""
        before = self.record.read(variant)
        patience = 0.0 if self.metrics.repeatable else _ABANDONED_S
        for revision, data in self.record.unsent(variant, now - patience):
            self._send(variant, revision, [item for item in data if item.at > now - _OLDEST_S])
        return self._late(before.after, self.captures.recent(variant, before.after))

    def _turn(self, variant: str, reference: Reference, named: Collection[str], call: _Call) -> Measured | None:
        """Count some files and publish the result; None if another call was first."""
        before, found = self.record.read(variant), Measured()
        keys = [*sorted(self._late(before.after, named)), *self.captures.keys(variant, before.after, FILES + 1)]
        monitor = self._monitor(reference, before.state, found)
        found.unusual.subtract(unusual(monitor.cutter.seen))
        with self._noted(variant, keys) as cut_off:
            read = self._read_some(keys, monitor, call, found, cut_off)
            found.files, found.unfinished = len(read), len(read) < len(keys)
            if call.sweeps and not found.unfinished:
                found.take(monitor.due(call.now))
            found.unusual.update(unusual(monitor.cutter.seen))
            found.evidence = monitor.detector.by_feature
            found.judged = monitor.detector.blocks if monitor.detector.judges else 0
            found.waiting, found.problems = monitor.cutter.seen.rows, monitor.cutter.seen.problems()
            data, stored = tuple(_data(variant, found, call.now)), None
            if read or found.findings:
                after = replace(before, after=max([before.after, *read]), state=monitor.as_dict())
                still = cut_off if found.unfinished and not found.aside else 0  # the cause may be one of the next files
                stored = self.record.write(variant, after, read, data, still)
                if stored is None:
                    return None
        if stored is not None and data:
            self._send(variant, stored.revision, data)
        elif stored is None and call.sweeps:
            self.metrics.put(data)  # a level, which may be sent twice
        return found

    @contextmanager
    def _noted(self, variant: str, keys: Collection[str]) -> Generator[int]:
        """Record that files are about to be read; yields the number of earlier calls that were cut off doing so."""
        cut_off = max(0, self.record.begins(variant) - 1) if keys else 0
        try:
            yield cut_off
        except Exception:
            if keys:
                with suppress(Exception):  # then this call counts as cut off
                    self.record.failed(variant)
            raise

    def _read_some(
        self, keys: Sequence[str], monitor: DriftMonitor, call: _Call, found: Measured, cut_off: int
    ) -> list[str]:
        """Read as many files as time and the number of killed calls allow; returns their keys."""
        read: list[str] = []
        for key in keys[: max(1, FILES >> cut_off)]:
            read.append(key)
            if cut_off < _DEADLY:
                self._read(key, monitor, call.now, found)
            else:
                why = f"{cut_off} calls were cut off while they read the file: no memory, or no time"
                self._set_aside(key, why, found)
            if not call.more():
                break
        return read

    def _monitor(self, reference: Reference, state: Mapping[str, Any] | None, found: Measured) -> DriftMonitor:
        try:
            return reference.monitor(self.false_alarms, self.every, state)
        except ValueError as error:  # written by another version of this code
            found.forgotten = str(error)
            return reference.monitor(self.false_alarms, self.every)

    def _send(self, variant: str, revision: int, data: Sequence[Datum]) -> None:
        self.metrics.put(data, once=f"drift {variant} {revision}")
        self.record.sent(variant, revision)

    def _read(self, key: str, monitor: DriftMonitor, now: float, found: Measured) -> None:
        """Count one file; unreadable lines are set aside with the reason and stop nothing."""
        aside: list[str] = []
        try:
            for line, item in self.captures.exchanges(key):
                rows = captured.instances(item)
                if isinstance(item, Malformed) or isinstance(rows, Malformed):
                    why = rows.why if isinstance(rows, Malformed) else ""
                    found.unreadable[why] += 1
                    aside.append(json.dumps({"why": why, "line": line[:_LONGEST].decode(errors="replace")}))
                    continue
                at, told = captured.when(item, now)
                for row in rows:
                    found.rows += 1
                    found.take(monitor.add(row, at, told=told))
        except FileNotFoundError:
            found.unreadable["the file has gone since it was listed"] += 1
        except MemoryError:
            return self._set_aside(key, "there is no memory for what comes after these lines", found, aside)
        except Exception as error:
            log("file not read", key=key, error=repr(error))
            raise
        if aside:
            self.captures.keep(key, aside[:_ASIDE])
        return None

    def _set_aside(self, key: str, why: str, found: Measured, lines: Sequence[str] = ()) -> None:
        """Skip a file or the rest of it: store its name with the reason, and log it."""
        log("file set aside", key=key, why=why)
        self.captures.keep(key, [*lines[:_ASIDE], json.dumps({"why": why, "file": key})])
        found.unreadable[why] += 1
        found.aside.append(key)


def _together(one: Measured, other: Measured) -> Measured:
    """Merge two batches of one call."""
    return replace(
        other,
        files=one.files + other.files,
        rows=one.rows + other.rows,
        unreadable=one.unreadable + other.unreadable,
        aside=[*one.aside, *other.aside],
        unusual=one.unusual + other.unusual,
        findings=[*one.findings, *other.findings],
        forgotten=one.forgotten or other.forgotten,
    )


def _data(variant: str, found: Measured, now: float) -> list[Datum]:
    data: list[Datum] = []
    if found.rows:
        data.append(Datum(CAPTURE_ROWS, variant, found.rows, "Count", now))
    if found.unreadable:
        data.append(Datum(CAPTURE_UNREADABLE, variant, found.unreadable.total(), "Count", now))
    if found.aside:
        data.append(Datum(DRIFT_UNMEASURED, "", len(found.aside), "Count", now))
    data += [
        Datum(metric, variant, count, "Count", now, feature)
        for (metric, feature), count in found.unusual.items()
        if count
    ]
    if found.most_evidence is not None:
        data.append(Datum(DRIFT_EVIDENCE, variant, found.most_evidence, "None", now))
    if found.findings:
        last = found.findings[-1]
        data += [Datum(DRIFT_DISTANCE, variant, value, "None", now, name) for name, value in last.distance.items()]
        data += [Datum(DRIFT_EVIDENCE, variant, value, "None", now, name) for name, value in last.by_feature.items()]
    return data
