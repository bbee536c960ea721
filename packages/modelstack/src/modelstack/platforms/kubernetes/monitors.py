"""Monitoring in a thread of the controller: joins labels, measures drift, deletes expired data.

The leader does this. Two leaders for a moment cost work, and count nothing twice. An endpoint whose journal or package
cannot be read is retried and stops no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from modelstack.monitoring.drift.watch import DriftWatch, Measured
from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.captures import Captures
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.platforms.kubernetes.labels import join, labels_of
from modelstack.platforms.kubernetes.measured import PostgresMetrics
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.platforms.kubernetes.schema import forget, keep, prepare
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import RolloutState
from modelstack.services.batches import UNFINISHED
from modelstack.services.drift import measure_drift
from modelstack.services.drift_record import DriftRecord
from modelstack.services.measuring import Measuring
from modelstack.services.promises import Member, Promises
from modelstack.services.sealed_packages import Sealed

PAUSE = 5.0  # seconds between two iterations
_SWEEP_S, _FORGET_S = 60.0, 600.0
_SHOWN_S = 300.0  # how long a level is shown that no sweep publishes again: a few sweeps
_WAITS = """
SELECT endpoint FROM label_files WHERE NOT taken AND endpoint = ANY (:names::text[])
UNION SELECT endpoint FROM variants WHERE joined < last AND endpoint = ANY (:names::text[])
UNION SELECT endpoint FROM documents WHERE queue = ANY (:queues::text[]) AND queue <> ''
AND endpoint = ANY (:names::text[])"""
_CAPTURES = "SELECT DISTINCT endpoint FROM variants WHERE endpoint = ANY (:names::text[])"


@dataclass
class Monitors:
    """The monitors of a namespace's endpoints; `find` gets an endpoint and a variant that has left its journal."""

    database: Database
    member: Member
    state: Callable[[str], RolloutState]
    measuring: Callable[[str], Measuring] = lambda _: Measuring()
    find: Callable[[str, str], Sealed | None] = lambda *_: None
    now: Callable[[], float] = time.time
    _prepared: bool = field(default=False, init=False)
    _swept: float = field(default=float("-inf"), init=False)
    _forgot: float = field(default=float("-inf"), init=False)

    def follow(self, rounds: Rounds) -> None:
        """Run `look` periodically while this process leads."""
        for names in rounds.every(PAUSE):
            if names is not None:
                try:
                    self.look(sorted(names))
                except Exception as error:  # whatever it is, the next look may do
                    log("monitors", error=str(error) if isinstance(error, RolloutError) else repr(error))

    def look(self, names: Collection[str]) -> None:
        """Do the due work of some endpoints; raises the first failure at the end, and the next call retries it."""
        if not self._prepared:
            prepare(self.database)
            self._prepared = True
        failures: list[RolloutError] = []
        sweeps = self.now() - self._swept >= _SWEEP_S
        waiting = self._asked(_WAITS, names, queues=[*UNFINISHED])
        for name in sorted(waiting | (self._asked(_CAPTURES, names) if sweeps else set())):
            try:
                self._work(name, waits=name in waiting, sweeps=sweeps)
            except RolloutError as error:
                log("monitor", endpoint=name, error=str(error))
                failures.append(error)
        if sweeps:
            self._swept = self.now()
        if self.now() - self._forgot >= _FORGET_S:
            keep(self.database, self._days(names))
            if not forget(self.database):
                self._forgot = self.now()
        if failures:
            raise failures[0]

    def _asked(self, statement: str, names: Collection[str], **values: list[str]) -> set[str]:
        found = self.database.run("look for what has come", statement, names=list(names), **values)
        return {name for (name,) in found}

    def _days(self, names: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in names:
            with suppress(RolloutError):  # the looks at it say so
                found[name] = self.measuring(name).requests_days
        return found

    def _work(self, name: str, *, waits: bool, sweeps: bool) -> None:
        measuring = self.measuring(name)
        promises = Promises(self.state(name), self.member, partial(self.find, name), measuring)
        labels = labels_of(self.database, promises, self.now)
        try:
            if waits:
                join(self.database, name, labels)
            if sweeps:
                labels.sweep()
        finally:
            if sweeps:
                sweep(self.database, promises, self.now(), false_alarms=measuring.drift_false_alarms)


def sweep(database: Database, promises: Promises, now: float, *, false_alarms: float = 0.05) -> Mapping[str, Measured]:
    """Measure the drift of the serving variants and publish it; raises the first failure at the end.

    `false_alarms` are tolerated a year and variant.
    """
    endpoint = promises.state.endpoint
    watch = DriftWatch(
        captures=Captures(database, endpoint),
        # A file is listed after those that were visible before it: none comes late.
        record=DriftRecord(PostgresDocuments(database, endpoint), marks=False),
        metrics=PostgresMetrics(database, endpoint, _SHOWN_S),
        false_alarms=false_alarms,
        every=promises.settings.block_seconds,
    )
    found = measure_drift(promises, watch, now)
    if found.failures:
        raise found.failures[0]
    return found.measured
