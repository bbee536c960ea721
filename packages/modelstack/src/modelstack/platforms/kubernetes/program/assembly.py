"""Assembles the controller of each endpoint, and the background work for all of them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import partial

from modelstack.platforms.kubernetes import packages
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.assembled import assembled
from modelstack.platforms.kubernetes.audit_records import PostgresRecords, uid
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.monitors import Monitors
from modelstack.platforms.kubernetes.not_serving import ServingCheck
from modelstack.platforms.kubernetes.notify import KubernetesNotify, Webhook
from modelstack.platforms.kubernetes.probes import Probes, through_gateways
from modelstack.platforms.kubernetes.program.counts import EVENTS, Counts
from modelstack.platforms.kubernetes.program.known import Known
from modelstack.platforms.kubernetes.program.mirroring import Mirroring
from modelstack.platforms.kubernetes.program.working import DrivenRollout
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.audit.record import Signer
from modelstack.records.tracking.api import opened
from modelstack.records.tracking.connection import TICK_SECONDS, bearer
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.recorder import Recorder
from modelstack.rollout.core.state import RolloutState
from modelstack.services.promises import Member
from modelstack.services.versions import PastReleases
from modelstack.services.worker import Worker


@dataclass(frozen=True)
class Assembly:
    """The shared parts. `by` is the user for the audit record."""

    api: Api
    by: str
    counts: Counts
    database: Database | None = None
    webhook: Webhook | None = None
    _asked: dict[str, Prometheus] = field(default_factory=dict[str, Prometheus])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def endpoint(self, name: str, spec: RolloutSpec) -> DrivenRollout:
        """The worker of a Rollout."""
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
            key = _AuditKey(self.api, name)
            records = PostgresRecords(self.database, name, partial(uid, self.api, name), key)
            recorder = Recorder(found.journal, records)
        worker = Worker(name, found.controller, found.journal, found.outage, recorder)
        show = ServingCheck(self.api, name, found.outage.outbox).show
        return DrivenRollout(worker, float(spec.period_seconds), found.alarms.all_firing, show)

    def probes(self, member: Member, known: Known) -> Probes:
        """The probes of the endpoints."""
        invoke, shown = through_gateways(self.api), self.counts.probed
        return Probes(invoke, member, known.spec, known.champion, shown, self.api.clock.time)

    def monitors(self, database: Database, member: Member, known: Known) -> Monitors:
        """The monitors of the endpoints' captures and labels."""
        past = PastReleases(partial(ModelPackages, self.api))
        return Monitors(database, member, self._state, known.measuring, past.find, self.api.clock.time)

    def mirroring(self, mlflow: str, known: Known) -> Mirroring:
        """The mirror of rollouts to an MLflow server; its credentials come from MLflow's own environment variables."""
        opens = partial(opened, mlflow, bearer(os.environ), TICK_SECONDS)
        return Mirroring(opens, known.revision, self._state, packages.manifest, today=self.api.clock.time)

    def _state(self, name: str) -> RolloutState:
        return KubernetesJournal(self.api, name).read()

    def _prometheus(self, url: str) -> Prometheus:
        with self._lock:
            if url not in self._asked:
                self._asked[url] = Prometheus(self.api.reach(url))
            return self._asked[url]


@dataclass
class _AuditKey:
    """`Signer` with the key of a stack for audit records, which is read at the first signature."""

    api: Api
    stack: str
    _key: Signer | None = None

    def sign(self, message: bytes) -> bytes:
        if self._key is None:
            from modelstack.platforms.kubernetes.signing import (  # noqa: PLC0415 - most processes sign nothing
                audit_secret_name,
                key_pair,
            )

            self._key = key_pair(self.api, audit_secret_name(self.stack))
        return self._key.sign(message)
