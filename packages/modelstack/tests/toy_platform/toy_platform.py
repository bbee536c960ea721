"""A platform in one SQLite file, as a package of somebody else adds it: nothing in modelstack names it.

It shows how little a platform is: adapters of the ports, what its stacks declare, and one entry point.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstack.cli.platform import port as operator
from modelstack.cli.platform.facts import AlarmInFull, EndpointState
from modelstack.cli.platform.package_store import PackageStore
from modelstack.pipeline.pack import Registered
from modelstack.platforms.clock import SystemClock
from modelstack.program.config.problems import Problem
from modelstack.program.config.settings import Settings
from modelstack.program.options import Opts
from modelstack.program.stack import Model, Stack
from modelstack.records.provenance.evidence import Attestation
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.ports import Signals
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable
from modelstack.rollout.core.live import Approval, Live, Variant
from modelstack.rollout.core.plan import Guard
from modelstack.rollout.core.state import Replayed, RolloutState
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.counters import Alarms, CountedWindow, Counters, CountQuery, FiringAlarm
from modelstack.services.documents import check_limits, packed, unpacked
from modelstack.services.journal import CopiedJournal, DocumentJournal
from modelstack.services.package_store import BlobPackageStore
from modelstack.services.platform_registry import Platform
from modelstack.services.ports import Document, Documents
from modelstack.services.sealed_packages import REGISTERED_BY
from modelstack.services.signals import CountedSignals
from modelstack.services.versions import PENDING, Version, Versions

PLATFORM = Platform(
    name="toy",
    stack="toy_platform:read",
    problems="toy_platform:problems",
    champion="toy_platform:champion",
    origin="toy_platform:origin",
    operator="toy_platform:ToyOperator",
)
_TABLES = """
create table if not exists documents (key text primary key, body blob, revision integer, queue text, since real);
create table if not exists blobs (name text primary key, content blob);
"""
_LONGEST_KEY = 2048  # bytes


@dataclass(frozen=True)
class File:
    """The file of a stack."""

    path: Path

    @contextmanager
    def open(self) -> Generator[sqlite3.Connection]:
        """A transaction, which ends with the block."""
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            connection.executescript(_TABLES)
            connection.execute("begin immediate")
            yield connection
            connection.commit()


@dataclass(frozen=True)
class ToyDocuments:
    """`Documents` in a file."""

    file: File

    def get(self, keys: Iterable[str]) -> Mapping[str, Document]:
        with self.file.open() as connection:
            return {key: _document(connection, key) for key in keys}

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        if not queue:
            raise ValueError("queue: got an empty name, expected one")
        listed = "select key from documents where queue = ? and since <= ? order by since"
        with self.file.open() as connection:
            found = [_document(connection, key) for (key,) in connection.execute(listed, (queue, before)).fetchall()]
        yield from found

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        check_limits(puts, deletes)
        for one in puts:
            if not 0 < len(one.key.encode()) <= _LONGEST_KEY:
                raise ValueError(f"key: got {one.key[:80]!r}, expected a text of 1 to {_LONGEST_KEY} bytes")
        with self.file.open() as connection:
            stored = {one.key: _document(connection, one.key).revision for one in (*puts, *deletes)}
            refused = {one.key for one in (*puts, *deletes) if stored[one.key] != one.revision}
            refused |= {one.key for one in deletes if not one.revision}
            if refused:
                return frozenset(refused)
            for one in puts:
                row = (one.key, packed(one.body), one.revision + 1, one.queue, one.since)
                connection.execute("insert or replace into documents values (?, ?, ?, ?, ?)", row)
            connection.executemany("delete from documents where key = ?", [(one.key,) for one in deletes])
        return frozenset()


def _document(connection: sqlite3.Connection, key: str) -> Document:
    row = connection.execute("select body, revision, queue, since from documents where key = ?", (key,)).fetchone()
    return Document(key, unpacked(row[0]), *row[1:]) if row else Document(key)


@dataclass(frozen=True)
class ToyBlobs:
    """`Blobs` in a file."""

    file: File

    def put_new(self, name: str, content: bytes) -> None:
        with self.file.open() as connection:
            connection.execute("insert or ignore into blobs values (?, ?)", (name, content))
        if b"".join(self.get(name)) != content:
            raise Conflict(f"{name}: other bytes are stored under this name")

    def get(self, name: str) -> Iterable[bytes]:
        with self.file.open() as connection:
            row = connection.execute("select content from blobs where name = ?", (name,)).fetchone()
        if row is None:
            raise FileNotFoundError(name)
        return [row[0]]

    def list(self, prefix: str, after: str = "", most: int = 1000) -> Sequence[str]:
        listed = "select name from blobs where substr(name, 1, ?) = ? and name > ? order by name limit ?"
        with self.file.open() as connection:
            return [name for (name,) in connection.execute(listed, (len(prefix), prefix, after, most)).fetchall()]


@dataclass(frozen=True)
class ToyVersions(Versions):
    """`Versions` and `Registry` above documents: `version#1`, `version#2`, ..."""

    documents: Documents
    who: str = "toy"

    def list(self, about: str = "") -> Iterator[Version]:
        found = reversed([*self.documents.scan("versions", float("inf"))])
        versions = (_version(one) for one in found)
        return (one for one in versions if about in {"", one.recipe, one.package_digest})

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        for one in (known := [*self.list()]):
            if (one.package_digest, one.image_uri) == (package.package_digest, package.image_uri):
                return one.name
        number = len(known) + 1
        content = asdict(package) | {"lineage": {**lineage, REGISTERED_BY: self.who}, "approval": PENDING, "why": ""}
        content["created"] = datetime.now(UTC).isoformat()
        document = Document(f"version#{number}", content, queue="versions", since=number)
        return document.key if not self.documents.transact([document]) else self.add(package, evidence, lineage)

    def approval(self, package: str) -> Approval:
        return self.documents.get([package])[package].body["approval"]

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        found = self.documents.get([package])[package]
        if self.documents.transact([replace(found, body={**found.body, "approval": approval, "why": why})]):
            self.set_approval(package, approval, why)


def _version(document: Document) -> Version:
    body = {name: value for name, value in document.body.items() if name != "model_package_arn"}
    given = body | {"metrics": {name: f"{value:.6g}" for name, value in body["metrics"].items()}}
    return Version(document.key, int(document.since), **given | {"created": datetime.fromisoformat(body["created"])})


@dataclass(frozen=True)
class ToyTraffic:
    """`Traffic`: what the document `endpoint` says."""

    documents: ToyDocuments

    def read(self) -> Live:
        body = self.documents.get(["endpoint"])["endpoint"].body
        weights = body.get("weights", {}).items()
        return Live("ready", body.get("config", ""), {name: Variant(one, one, 1) for name, one in weights})

    def set_weights(self, weights: Mapping[str, int]) -> None:
        live = self.read()
        if unknown := weights.keys() - live.variants.keys():
            raise RolloutError(f"the endpoint has no variant {', '.join(sorted(unknown))}")
        self._write(live.config, {**{name: one.weight for name, one in live.variants.items()}, **weights})

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        configs = self.documents.get(["configs"])["configs"].body
        if name not in configs:
            raise RolloutError(f"there is no endpoint config {name}")
        self._write(name, configs[name])

    def _write(self, config: str, weights: Mapping[str, float]) -> None:
        found = self.documents.get(["endpoint"])["endpoint"]
        if self.documents.transact([replace(found, body={"config": config, "weights": dict(weights)})]):
            self._write(config, weights)


class Nothing(Counters, Alarms):
    """`Counters`, `Alarms` and `Replay` of a platform that counts and captures nothing."""

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        raise Unreachable("the toy counts no requests")

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> None:
        return None

    def firing(self, variants: Collection[str]) -> list[FiringAlarm]:
        return []

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        return before


class ToyOperator(operator.Platform):
    """The endpoint for the commands, with what every platform must say of it and no more."""

    @property
    def file(self) -> File:
        """The file of the stack."""
        return File(Path(self.target.output("file")))

    def state(self) -> RolloutState:
        return journal_of(self.file).read()

    def endpoint(self) -> EndpointState:
        return EndpointState("InService", ToyTraffic(ToyDocuments(self.file)).read())

    def alarms_in_full(self) -> list[AlarmInFull]:
        return []

    def versions(self) -> ToyVersions:
        return ToyVersions(ToyDocuments(self.file))

    def package_store(self) -> PackageStore:
        return PackageStore(BlobPackageStore(ToyBlobs(self.file), "toy://dev"), self.versions())

    def signals(self) -> CountedSignals:
        return CountedSignals(Nothing())

    def controller(self, who: str = "", signals: Signals | None = None) -> Controller:
        return Controller(
            traffic=ToyTraffic(ToyDocuments(self.file)),
            signals=signals or self.signals(),
            alarms=JudgedAlarms(Nothing(), Nothing(), SystemClock()),
            journal=journal_of(self.file, who),
            registry=self.versions(),
            replay=Nothing(),
            clock=SystemClock(),
            notify=None,
        )


def journal_of(file: File, by: str = "") -> CopiedJournal:
    """The journal, and its copy in a second file."""
    stored, copy = (ToyDocuments(one) for one in (file, File(file.path.with_suffix(".copy"))))
    return CopiedJournal(DocumentJournal(stored, "toy"), DocumentJournal(copy, "toy"), by)


class ToyStack(Stack[Model]):
    """A stack: a file."""

    OUTPUTS = ("platform", "file")

    def registry(self, *, opts: Opts = None) -> None:
        return None

    def controller(self, *, opts: Opts = None) -> None:
        return None

    def outputs(self) -> dict[str, str]:
        file = Path.cwd() / f"{self.settings.model.name}-{self.name}.sqlite"
        return {"platform": self.settings.platform, "file": str(file)}


async def read(settings: Settings, name: str) -> ToyStack:
    """See `Platform`."""
    return ToyStack(name, settings)


def problems(settings: Settings, _stack: str) -> list[Problem]:
    """What the toy refuses of a config."""
    replay = settings.rollout.replay
    return [Problem("rollout.replay", "nothing is captured here; allowed is null", str(replay))] if replay else []


def champion(_stack: str, outputs: Mapping[str, Any], _account: str | None) -> dict[str, Any] | None:
    """What serves on a stack here."""
    found = journal_of(File(Path(outputs["file"]))).read().champion
    return json.loads(json.dumps(found.as_dict())) if found else None
