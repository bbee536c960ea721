"""Measures drift file by file: each captured row counts once, whoever is called, how often and in whatever order.

A call is told of files that have arrived, and takes them as a sign: it counts every file after the last one that was
counted, in the order of their keys, and those of the named ones that come before it and were not counted, as files of
several instances do. A sweep is told of none, and looks for late ones itself.

What was counted is kept as one record a variant: the block of rows that is being filled and the bets on those before it
(`monitoring.drift.shift`), the last key, and the metrics that are still to be sent. Its size depends on the features,
not on the rows. It is stored together with a mark on each file that it counted, all or nothing, on the condition that
nobody else stored one since it was read; so of two calls at once one wins, and the other looks again at what is left to
count.

No file stops those after it. One that there is no memory for is set aside: its name and the reason lie beside the
lines that could not be read, and it is logged. A call that is cut off (no memory, no time) can tell nothing, so each
one notes that it begins. After each one without an end the next reads half as many files; when three calls in a row
do not even end with one, that file is set aside unread. An alarm counts files that were set aside.

Metrics are sent after that, and by who found them. Those of a call that was killed before are sent by a later sweep.
Counts that are sent but not noted as sent are sent again; rows never count again.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from monitoring import captured
from monitoring.captured import Malformed, Recorded
from monitoring.drift.record import Record
from monitoring.drift.reference import Reference
from monitoring.drift.shift import DriftMonitor, Finding
from monitoring.drift.unusual import Unusual, unusual
from monitoring.log import log
from monitoring.measurements import Datum, Metrics
from monitoring.published import CAPTURE_ROWS, CAPTURE_UNREADABLE, DRIFT_DISTANCE, DRIFT_EVIDENCE, DRIFT_UNMEASURED
from monitoring.statistics.statistic import Problem

FILES = 50
"""Files that one write counts; with more, other variants have their turn in between."""
_DEADLY = FILES.bit_length() - 1 + 3
"""Calls that were cut off until a file is set aside: those that halved `FILES` down to one, and three with that one."""
_OLDEST_S = 13 * 86_400  # a metric store takes no value that is two weeks old: it would refuse all, at every call
_ABANDONED_S = 900.0  # no call lasts that long
_ASIDE = 50  # unreadable lines that are kept aside of one file, and characters of each
_LONGEST = 2000


class Captures(Protocol):
    """Where captured requests lie."""

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        """The keys of a variant's files that come after a key, in order; at most so many."""
        ...

    def recent(self, variant: str, until: str) -> Collection[str]:
        """The keys of the last hours up to one."""
        ...

    def exchanges(self, key: str) -> Iterable[tuple[bytes, Recorded | Malformed]]:
        """What one file holds, each with the line that it was read from.

        Raises:
            FileNotFoundError: It has gone since it was listed.
        """
        ...

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Keep aside what could not be read in one file; a second time, it replaces the first."""
        ...


@dataclass
class Measured:
    """What one call found of one variant.

    Attributes:
        files: Files that were read by this call.
        rows: Rows that were counted by it.
        unreadable: Why lines hold no rows -> how many lines; a file that was set aside counts as one.
        aside: The files that were set aside.
        unusual: What its rows hold that training's did not, by metric and feature.
        findings: What the blocks said that have ended.
        evidence: Feature -> its share of the evidence now.
        judged: How many blocks were ever judged; 0 also where training had too few to judge by.
        waiting: Rows of the block that is being filled.
        problems: What that block should not hold.
        forgotten: Why what was counted before could not be read, and counting began anew; None when it could.
        unfinished: Whether there was no time for all files.
        failure: Why the variant could not be measured to the end; None when it could.
    """

    files: int = 0
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter[str])
    aside: list[str] = field(default_factory=list[str])
    unusual: Unusual = field(default_factory=Unusual)
    findings: list[Finding] = field(default_factory=list[Finding])
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])
    judged: int = 0
    waiting: int = 0
    problems: Sequence[Problem] = ()
    forgotten: str | None = None
    unfinished: bool = False
    failure: Exception | None = None

    def take(self, findings: Iterable[Finding]) -> None:
        """Add what blocks said that have ended."""
        for finding in findings:
            self.findings.append(finding)
            self.unusual.update(finding.unusual)

    @property
    def most_evidence(self) -> float | None:
        """The most evidence, of the whole, after any block since the call before; None before the first block."""
        return max([sum(self.evidence.values()), *(one.evidence for one in self.findings)]) if self.judged else None

    def log(self, **where: str) -> None:
        """Write what was found, with `where` it was, as one line of the log."""
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
        named: Mapping[str, Collection[str]] | None = None,
        unmeasured: Collection[str] = (),
        more: Callable[[], bool] = lambda: True,
    ) -> Mapping[str, Measured]:
        """Count what was captured and not counted yet, and tell what it says.

        Args:
            references: Variant -> what its model was trained on.
            now: Epoch seconds.
            named: Variant -> files that have arrived. None: a sweep, which looks for late ones itself, ends a block
                whose time is over, tells the evidence also where nothing has come, and sends what others left.
            unmeasured: Live variants whose reference cannot be had: each is counted, so that silence is not taken for
                "no drift". Their captures wait.
            more: Whether there is time for another file.

        Returns:
            What was found, by variant. What fails for one variant stops no other.
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
        """Those of some files that were not counted, and that come before the last one that was: no list shows them."""
        return self._late(self.record.read(variant).after, keys)

    def _late(self, after: str, keys: Collection[str]) -> set[str]:
        passed = {key for key in keys if key <= after}
        return passed - self.record.counted(passed) if passed else passed

    def _swept(self, variant: str, now: float) -> set[str]:
        """Send what a killed call has left, and look for files that came late while nobody told of them."""
        before = self.record.read(variant)
        patience = 0.0 if self.metrics.repeatable else _ABANDONED_S
        for revision, data in self.record.unsent(variant, now - patience):
            self._send(variant, revision, [item for item in data if item.at > now - _OLDEST_S])
        return self._late(before.after, self.captures.recent(variant, before.after))

    def _turn(self, variant: str, reference: Reference, named: Collection[str], call: _Call) -> Measured | None:
        """Count some files, and tell what they say; None when another call was first."""
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
                still = (
                    cut_off if found.unfinished and not found.aside else 0
                )  # the file to blame may be one of the next
                stored = self.record.write(variant, after, read, data, still)
                if stored is None:
                    return None
        if stored is not None and data:
            self._send(variant, stored.revision, data)
        elif stored is None and call.sweeps:
            self.metrics.put(data)  # a level, which may be told twice
        return found

    @contextmanager
    def _noted(self, variant: str, keys: Collection[str]) -> Generator[int]:
        """Note that files are about to be read; how many calls were cut off that did so."""
        cut_off = max(0, self.record.begins(variant) - 1) if keys else 0
        try:
            yield cut_off
        except Exception:
            if keys:
                with suppress(Exception):  # then this call counts as one that was cut off
                    self.record.failed(variant)
            raise

    def _read_some(
        self, keys: Sequence[str], monitor: DriftMonitor, call: _Call, found: Measured, cut_off: int
    ) -> list[str]:
        """Count as many files as there is time for, and as many fewer as calls were cut off; those that were read."""
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
        except ValueError as error:  # of another version of this code
            found.forgotten = str(error)
            return reference.monitor(self.false_alarms, self.every)

    def _send(self, variant: str, revision: int, data: Sequence[Datum]) -> None:
        self.metrics.put(data, once=f"drift {variant} {revision}")
        self.record.sent(variant, revision)

    def _read(self, key: str, monitor: DriftMonitor, now: float, found: Measured) -> None:
        """Count one file; what cannot be read of it is kept aside with the reason, and stops nothing."""
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
        """Pass over a file, or the rest of it: keep its name with the reason, and log it."""
        log("file set aside", key=key, why=why)
        self.captures.keep(key, [*lines[:_ASIDE], json.dumps({"why": why, "file": key})])
        found.unreadable[why] += 1
        found.aside.append(key)


def _together(one: Measured, other: Measured) -> Measured:
    """What two batches of one call found."""
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
