"""The whole story of a model on a platform in memory, in one process and without waiting."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstack.monitoring.drift.watch import DriftWatch
from modelstack.monitoring.published import DRIFT_EVIDENCE
from modelstack.monitoring.retraining.controller import RetrainingController
from modelstack.monitoring.retraining.decision import JobSeen, RetrainingObservation, Start
from modelstack.monitoring.retraining.record import Phase, RetrainingEvent, RetrainingRecord, Trigger
from modelstack.monitoring.retraining.rules import Rules
from modelstack.pipeline.build import build
from modelstack.pipeline.candidate import Job, retrain
from modelstack.pipeline.pack import Registered, SealedPackage
from modelstack.pipeline.recipe import recipe
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release, release_id
from modelstack.rollout.core.state import Phase as RolloutPhase
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.alarm_names import DRIFT
from modelstack.services.declaration.alarms import EvidenceRule, Watch, variant_alarms
from modelstack.services.drift import measure_drift
from modelstack.services.drift_record import DriftRecord
from modelstack.services.package_registry import Origin, PackageRegistry, ReleaseRecord, copy, publish
from modelstack.services.package_store import BlobPackageStore
from modelstack.services.promises import Promises
from modelstack.services.publish_steps import at
from modelstack.services.sealed_packages import PROMOTED_FROM, Sealed, member_of
from modelstack.services.versions import find
from tests.monitoring.retraining.test_controller import Book
from tests.monitoring.shelf import Shelf, line
from tests.pipeline.conftest import checkout_of, own_cache
from tests.services.memory import MemoryBlobs, MemoryDocuments, MemoryMetrics
from tests.simulator.platform import ManualClock, World
from tests.toy_platform.toy_platform import ToyVersions

__all__ = ["own_cache"]

ROOT = Path(__file__).resolve().parents[4]
PLAN = Plan(steps=(Step(10, 30), Step(50, 30)), window_seconds=10, max_seconds=1200)
WATCH = Watch(period_seconds=60, max_5xx_rate=0.01, max_p99_ms=500, nats=20)
IMAGE = "registry.example/daily:1"
DAY = "2013-02-20"
A_DAY, DAYS = 200, 7
"""Requests a day, and for how many days they are captured."""


def at_noon(day: str) -> ManualClock:
    return ManualClock(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


@dataclass
class Stack:
    """One stack in memory: its endpoint under traffic, its registry, and what watches it."""

    name: str
    world: World = field(default_factory=lambda: World({"": {"": 0.0}}, "", requests_per_second=60, clock=at_noon(DAY)))
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)
    shelf: Shelf = field(default_factory=Shelf)

    def __post_init__(self) -> None:
        self.store = BlobPackageStore(MemoryBlobs(), f"toy://{self.name}")
        self.versions = ToyVersions(MemoryDocuments())
        self.registry = PackageRegistry(self.store, self.versions, IMAGE, KeyPair.new())

    def release(self, package: Registered) -> RolloutState:
        """Try a registered package next to the champion, to the end of the trial."""
        name = release_id(package.recipe, package.image_uri)
        champion = self.world.state.champion
        wanted = Release(
            *(name, package.recipe, package.package_digest, package.archive_uri, package.image_uri),
            *(package.manifest_sha256, package.model_package_arn, f"model-{name}", f"v-{name}", f"solo-{name}", "1"),
        )
        self.world.configs[wanted.config_name] = {wanted.variant: 1.0}
        pair = None
        if champion is None:
            self.world.change(wanted.config_name, {wanted.variant: 1.0})
            self.world.clock.sleep(10)
        else:
            pair = f"pair-{champion.id}-{name}"
            self.world.configs[pair] = {champion.variant: 1.0, wanted.variant: 0.0}
        beside = champion.config_name if champion else None
        self.world.controller().release(wanted, pair, PLAN, beside=beside)
        return self.world.controller().follow(PLAN.max_seconds)

    @property
    def champion(self) -> Release:
        assert self.world.state.champion is not None
        return self.world.state.champion

    def approval(self, package: Registered) -> str:
        return self.world.approvals.get(package.model_package_arn, "PendingManualApproval")

    def archive(self, uri: str) -> bytes:
        return b"".join(self.store.blobs.get(uri))

    def member(self, release: Sealed, name: str) -> bytes | None:
        """A file of a release's package, by its digest."""

        def proven(member: str, sha256: str) -> bytes:
            with tarfile.open(fileobj=BytesIO(self.archive(release.archive_uri))) as archive:
                file = archive.extractfile(member)
                assert file is not None
                content = file.read()
            assert hashlib.sha256(content).hexdigest() == sha256
            return content

        return member_of(release, name, proven)

    def captured(self, day: str, values: np.ndarray[Any, Any]) -> None:
        """What the champion was asked about from a day on, `A_DAY` rows each day."""
        start = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()
        step = 86_400 / A_DAY
        lines = [line({"x": float(x)}, start + n * step, start + n * step) for n, x in enumerate(values)]
        self.shelf.files[f"{self.champion.variant}/{day}"] = lines

    def drift(self) -> float:
        """The most evidence that what was captured is no longer what the champion was trained on; 1 is enough."""
        promises = Promises(self.world.state, self.member)
        watch = DriftWatch(self.shelf, DriftRecord(self.documents), self.metrics, false_alarms=0.05, every=3600)
        found = measure_drift(promises, watch, self.world.clock.time())
        assert not found.failures and not found.unmeasured
        return max(one.value for one in self.metrics.data if one.name == DRIFT_EVIDENCE)

    def alarm(self) -> Trigger | None:
        """The declared alarm on drift, while it fires."""
        variant = self.champion.variant
        (spec,) = (one for one in variant_alarms(WATCH, variant) if one.measure == DRIFT)
        assert isinstance(spec.condition, EvidenceRule)
        evidence = self.drift()
        return Trigger("drift", spec.text, DRIFT, variant, numbers={"evidence": evidence}) if evidence >= 1 else None


@dataclass
class Training:
    """Where the retraining's jobs run: in this process, from the champion's own package."""

    stack: Stack
    folder: Path
    jobs: dict[str, JobSeen] = field(default_factory=dict[str, JobSeen])

    def look(self, record: RetrainingRecord) -> RetrainingObservation:
        alarm = self.stack.alarm()
        job = self.jobs.get(record.job, JobSeen("missing")) if record.job else None
        return RetrainingObservation(
            self.stack.world.clock.time(), DAY, self.stack.champion, firing=(alarm,) if alarm else (), job=job
        )

    def create(self, start: Start) -> None:
        champion = start.champion.as_dict()
        job = Job(start.through, champion, {}, "memory", "memory", "nowhere", "key", f"retraining/{start.job}.json")
        work = self.folder / start.job
        work.mkdir()
        archive = work / "model.tar.gz"
        archive.write_bytes(self.stack.archive(start.champion.archive_uri))
        (work / "work").mkdir()
        report = retrain(job, archive, work / "work", at(self.stack.registry), progress=lambda _: None)
        self.jobs[start.job] = JobSeen("completed", report=report.as_dict())

    def stop(self, job: str) -> None:
        raise AssertionError(job)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return checkout_of(ROOT / "packages/modelstack/tests/pipeline/daily", tmp_path / "project")


def packaged(project: Path, **parameters: object) -> SealedPackage:
    return build(project, recipe(project, parameters), progress=lambda _: None)


@pytest.mark.slow
def test_release_canary_rollback_promotion_drift_and_retraining(project: Path, tmp_path: Path, own_cache: Path) -> None:
    dev, prod = Stack("dev"), Stack("prod")

    first = publish(packaged(project), dev.registry)
    assert dev.release(first).phase is RolloutPhase.IDLE
    assert dev.champion.package_digest == first.package_digest
    assert dev.approval(first) == "Approved"

    bad = publish(packaged(project, until=19), dev.registry)
    dev.world.error_rates[f"v-{release_id(bad.recipe, IMAGE)}"] = 0.4
    state = dev.release(bad)
    assert state.champion == dev.champion
    assert dev.champion.package_digest == first.package_digest
    assert dev.approval(bad) == "Rejected"
    assert release_id(bad.recipe, IMAGE) in state.rejected
    assert dev.world.live().shares() == {dev.champion.variant: 100.0}

    good = publish(packaged(project, until=21), dev.registry)
    served = dev.world.served.copy()
    dev.release(good)
    assert dev.champion.package_digest == good.package_digest
    assert dev.approval(good) == "Approved"
    assert served.keys() < dev.world.served.keys()

    there = ReleaseRecord(good.archive_uri, good.package_digest, dev.champion.version, dev.registry.signer.public_key)
    promoted = copy(there, Origin(dev.store, dev.versions), prod.registry)
    prod.release(promoted)
    assert prod.champion.package_digest == good.package_digest
    assert prod.archive(promoted.archive_uri) == dev.archive(good.archive_uri), "the same bytes"
    version = find(prod.versions, promoted.package_digest, IMAGE)
    assert version is not None
    assert version.lineage[PROMOTED_FROM] == good.model_package_arn

    requests = np.random.default_rng(7).normal(size=A_DAY * DAYS)
    prod.captured("2013-02-01", requests)
    assert prod.alarm() is None
    prod.captured("2013-02-12", requests + 1.5)
    assert prod.alarm() is not None

    training, told = Training(prod, tmp_path), list[RetrainingEvent]()
    retraining = RetrainingController(Book(), training, told.append, Rules(ask=False), "daily-prod")
    retraining.carry_on()
    record = retraining.carry_on()
    assert [one.kind for one in told] == ["started", "candidate"], [one.text for one in told]
    assert record.phase is Phase.IDLE
    (candidate,) = record.accepted
    waits = prod.versions.get(candidate.package["model_package_arn"])
    assert waits is not None
    assert waits.lineage["retrained_from"] == good.package_digest

    facts = Registered(**{**candidate.package, "recipe": candidate.recipe, "metrics": {}})
    prod.release(facts)
    assert prod.champion.package_digest == candidate.package["package_digest"]
    assert retraining.carry_on().accepted[0].served
