"""Drift in the cluster: captured requests against what a release was trained on, counted and told once.

    drift = Drift(database, "flights", member=member)
    drift.sweep(state, now)     # by whoever holds the lease, once a minute

`monitoring.drift.watch` decides; this keeps its record in PostgreSQL. What a write stores of counts and levels is
published in the same transaction. So nothing is ever left unsent, and nothing is sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from monitoring.drift.record import Datum, Reading
from monitoring.drift.reference import Reference
from monitoring.drift.watch import DriftWatch, Measured
from monitoring.log import log
from monitoring.published import DRIFT_DISTANCE, DRIFT_EVIDENCE
from platforms.kubernetes.captures import Captures
from platforms.kubernetes.database import Database, Run
from platforms.kubernetes.labels import Member
from platforms.kubernetes.measured import add, counter, gauge, tell
from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState

REFERENCE = "reference.json"
"""The member of a package that says what it was trained on."""
_LEVELS = {DRIFT_EVIDENCE, DRIFT_DISTANCE}


@dataclass
class PostgresRecord:
    """`Record` and `Metrics` of one endpoint.

    Attributes:
        database: The database.
        endpoint: The endpoint.
        shown: Seconds that a level is shown, unless it is told again.
    """

    database: Database
    endpoint: str
    shown: float
    _published: Sequence[Datum] = field(default=(), repr=False)

    def read(self, variant: str) -> Reading:
        """The reading of a variant, or an empty one."""
        found = self.database.run(
            f"read the drift of {variant}",
            "SELECT revision, reading FROM drift WHERE endpoint = :endpoint AND variant = :variant",
            endpoint=self.endpoint,
            variant=variant,
        )
        if not found or found[0][1] is None:
            return Reading()
        kept = json.loads(found[0][1])
        return Reading(found[0][0], kept["after"], kept["state"])

    def counted(self, keys: Collection[str]) -> set[str]:
        """All: a file that comes before the last one that was counted was seen before it."""
        return set(keys)

    def write(
        self, variant: str, reading: Reading, files: Collection[str], unsent: tuple[Datum, ...], begun: int = 0
    ) -> Reading | None:
        """Store the successor of a revision and publish what it has to send; None when another writer was first."""
        after, revision = json.dumps({"after": reading.after, "state": reading.state}), reading.revision + 1

        def stored(run: Run) -> bool:
            written = run(
                "INSERT INTO drift AS d (endpoint, variant, revision, reading, begun) "
                "VALUES (:endpoint, :variant, :revision, :reading, :begun) ON CONFLICT (endpoint, variant) DO UPDATE "
                "SET revision = excluded.revision, reading = excluded.reading, begun = excluded.begun "
                "WHERE d.revision = :before RETURNING 1",
                endpoint=self.endpoint,
                variant=variant,
                revision=revision,
                before=reading.revision,
                reading=after,
                begun=begun,
            )
            if written:
                self._publish(run, unsent)
            return bool(written)

        if not self.database.together(f"write the drift of {variant}", stored):
            return None
        self._published = unsent
        return replace(reading, revision=revision)

    def put(self, data: Sequence[Datum]) -> None:
        """Publish values, but for those that the last write has published."""
        if data is not self._published:
            self.database.together(f"publish the drift of {self.endpoint}", lambda run: self._publish(run, data))

    def _publish(self, run: Run, data: Sequence[Datum]) -> None:
        def of(item: Datum) -> dict[str, str]:
            return {"variant": item.variant, "feature": item.feature or ""}

        counts = {counter(item.name, **of(item)): item.value for item in data if item.name not in _LEVELS}
        levels = {gauge(item.name, **of(item)): item.value for item in data if item.name in _LEVELS}
        add(run, self.endpoint, counts)
        tell(run, self.endpoint, levels, self.shown)

    def sent(self, variant: str, revision: int) -> None:
        """Nothing waits to be sent."""

    def begins(self, variant: str) -> int:
        """Note that files are about to be read; how often that was noted since the last write."""
        return self._count(variant, 1)

    def failed(self, variant: str) -> None:
        """Note that what `begins` noted has ended with an error."""
        self._count(variant, -1)

    def _count(self, variant: str, more: int) -> int:
        return self.database.run(
            f"note that the drift of {variant} is measured",
            "INSERT INTO drift AS d (endpoint, variant, begun) VALUES (:endpoint, :variant, :more) "
            "ON CONFLICT (endpoint, variant) DO UPDATE SET begun = d.begun + :more RETURNING begun",
            endpoint=self.endpoint,
            variant=variant,
            more=more,
        )[0][0]


@dataclass(frozen=True)
class Drift:
    """Measures the drift of what one endpoint serves.

    Attributes:
        database: The database.
        endpoint: The endpoint.
        member: Reads members of packages.
        false_alarms: How many are tolerated a year and variant.
        every: Seconds a block at least, of a model whose rows have no times.
        shown: Seconds after which a level that nobody tells any more is not shown: a few sweeps.
    """

    database: Database
    endpoint: str
    member: Member
    false_alarms: float = 0.05
    every: float = 3600.0
    shown: float = 300.0

    def sweep(self, state: RolloutState, now: float, more: Callable[[], bool] = lambda: True) -> Mapping[str, Measured]:
        """Count what was captured of the variants that serve, and tell what it says.

        What passes by itself is logged and left to the next sweep: nothing is counted twice, and nothing is lost. A
        release whose reference cannot be had is logged and counted as `DriftUnmeasured`.

        Args:
            state: What serves.
            now: Epoch seconds.
            more: Whether there is time for another file.

        Raises:
            RolloutError: At the end: of a variant something failed.
        """
        references, unmeasured = self._references(state)
        record = PostgresRecord(self.database, self.endpoint, self.shown)
        watch = DriftWatch(
            captures=Captures(self.database, self.endpoint),
            record=record,
            metrics=record,
            false_alarms=self.false_alarms,
            every=self.every,
        )
        found = watch.measure(references, now, None, unmeasured, more)
        for variant, item in found.items():
            if item.files or item.findings or item.failure:
                item.log(endpoint=self.endpoint, variant=variant)
        failure = next((item.failure for item in found.values() if item.failure), None)
        if failure is not None:
            raise failure
        return found

    def _references(self, state: RolloutState) -> tuple[dict[str, Reference], list[str]]:
        """The references that can be had of what serves, and the variants without one."""
        found: dict[str, Reference] = {}
        unmeasured: list[str] = []
        for release in (state.champion, state.challenger):
            if release is None:
                continue
            try:
                found[release.variant] = _parsed(self.member(release, REFERENCE))
            except (RolloutError, ValueError) as error:
                log("reference not read", endpoint=self.endpoint, variant=release.variant, error=str(error))
                unmeasured.append(release.variant)
        return found, unmeasured


@lru_cache(maxsize=8)
def _parsed(sealed: bytes | None) -> Reference:
    return Reference.from_dict(json.loads(sealed) if sealed else None)
