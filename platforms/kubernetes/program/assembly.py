"""Puts together what drives an endpoint, of its Rollout's spec and of what all share, and what looks at all of them.

Both go by the API server's clock.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import partial

from audit.record import Signer
from platforms.kubernetes import packages
from platforms.kubernetes.api import Api
from platforms.kubernetes.assembled import assembled
from platforms.kubernetes.audit_records import PostgresRecords, uid
from platforms.kubernetes.database import Database
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.monitors import Monitors
from platforms.kubernetes.notify import KubernetesNotify, Webhook
from platforms.kubernetes.probes import Probes, through_gateways
from platforms.kubernetes.program.counts import EVENTS, Counts
from platforms.kubernetes.program.known import Known
from platforms.kubernetes.program.mirroring import Mirroring
from platforms.kubernetes.program.working import Endpoint
from platforms.kubernetes.prometheus import Prometheus
from platforms.kubernetes.spec import RolloutSpec
from rollout.controller.commands import Commands
from rollout.controller.recorder import Recorder
from rollout.core.state import RolloutState
from services.promises import Member
from services.worker import Worker
from tracking.api import opened
from tracking.connection import TICK_SECONDS, bearer


@dataclass(frozen=True)
class Assembly:
    """What all endpoints share.

    Attributes:
        api: The API server.
        by: Who acts, for the audit record.
        counts: Counts.
        database: Where captures are kept; None without.
        webhook: Who is told of events too; None for nobody.
    """

    api: Api
    by: str
    counts: Counts
    database: Database | None = None
    webhook: Webhook | None = None
    _asked: dict[str, Prometheus] = field(default_factory=dict[str, Prometheus])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def endpoint(self, name: str, spec: RolloutSpec) -> Endpoint:
        """All that is needed to drive the Rollout of this name."""
        notify = KubernetesNotify(
            self.api,
            name,
            self.webhook,
            Commands.of_stack(spec.stack),
            lambda kind: self.counts.add(EVENTS, endpoint=name, event=kind),
        )
        found = assembled(
            self.api,
            name,
            spec,
            by=self.by,
            notify=notify,
            database=self.database,
            prometheus=self._prometheus(spec.prometheus),
        )
        recorder = None
        if self.database:
            key = _StackKey(self.api, name)
            records = PostgresRecords(self.database, name, partial(uid, self.api, name), key)
            recorder = Recorder(found.journal, records)
        worker = Worker(name, found.controller, found.journal, found.outage, recorder)
        return Endpoint(worker, float(spec.period_seconds), found.alarms.firing)

    def probes(self, member: Member, known: Known) -> Probes:
        """What asks the endpoints whether they answer, with what is read of packages."""
        invoke, shown = through_gateways(self.api), self.counts.probed
        return Probes(invoke, member, known.spec, known.champion, shown, self.api.clock.time)

    def monitors(self, database: Database, member: Member, known: Known) -> Monitors:
        """What works on the captures and labels of the endpoints."""
        return Monitors(
            database,
            member,
            self._state,
            known.measuring,
            now=self.api.clock.time,
        )

    def mirroring(self, mlflow: str, known: Known) -> Mirroring:
        """What tells the MLflow at a URL how rollouts stand; it signs in by the environment, as MLflow's clients do."""
        opens = partial(opened, mlflow, bearer(os.environ), TICK_SECONDS)
        return Mirroring(opens, known.revision, self._state, packages.manifest, today=self.api.clock.time)

    def _state(self, name: str) -> RolloutState:
        return KubernetesJournal(self.api, name).read()

    def _prometheus(self, url: str) -> Prometheus:
        """One client for all endpoints that name the same."""
        with self._lock:
            if url not in self._asked:
                self._asked[url] = Prometheus(self.api.reach(url))
            return self._asked[url]


@dataclass
class _StackKey:
    """`Signer` with the key of a stack, which is read when something is to be signed."""

    api: Api
    stack: str
    _key: Signer | None = None

    def sign(self, message: bytes) -> bytes:
        """As `Signer`.

        Raises:
            RolloutError: The Secret may not be read, or holds no key.
        """
        if self._key is None:
            from platforms.kubernetes.signing import signing_key  # noqa: PLC0415 - most processes sign nothing

            self._key = signing_key(self.api, self.stack)
        return self._key.sign(message)
