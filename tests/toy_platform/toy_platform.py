"""A platform in one SQLite file, as a package of somebody else adds it: nothing in modelstack names it.

It shows how little a platform is: adapters of the ports, what its stacks declare, and one entry point.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi

from infra.config.problems import Problem
from infra.config.settings import Settings
from pipeline.pack import Registered, SealedPackage
from provenance.envelope import key_id
from provenance.evidence import Attestation
from rollout.core.errors import Conflict, RolloutError
from rollout.core.live import Live, Variant
from rollout.core.plan import Guard
from services.documents import check_limits, packed, unpacked
from services.journal import DocumentJournal
from services.platform_registry import Platform
from services.ports import Blobs, Document, Documents, names
from services.sealed_packages import REGISTERED_BY, RegistryError, Unsigned
from services.versions import PENDING, Version

PLATFORM = Platform(
    name="toy",
    declare="toy_platform:declare",
    problems="toy_platform:problems",
    champion="toy_platform:champion",
    origin="toy_platform:origin",
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
        """See `Documents`."""
        with self.file.open() as connection:
            return {key: _document(connection, key) for key in keys}

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        """See `Documents`."""
        if not queue:
            raise ValueError("queue: got an empty name, expected one")
        listed = "select key from documents where queue = ? and since <= ? order by since"
        with self.file.open() as connection:
            found = [_document(connection, key) for (key,) in connection.execute(listed, (queue, before)).fetchall()]
        yield from found

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        """See `Documents`."""
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
        """See `Blobs`."""
        with self.file.open() as connection:
            connection.execute("insert or ignore into blobs values (?, ?)", (name, content))
        if b"".join(self.get(name)) != content:
            raise Conflict(f"{name}: other bytes are stored under this name")

    def get(self, name: str) -> Iterable[bytes]:
        """See `Blobs`."""
        with self.file.open() as connection:
            row = connection.execute("select content from blobs where name = ?", (name,)).fetchone()
        if row is None:
            raise FileNotFoundError(name)
        return [row[0]]

    def list(self, prefix: str, after: str = "", most: int = 1000) -> Sequence[str]:
        """See `Blobs`."""
        listed = "select name from blobs where substr(name, 1, ?) = ? and name > ? order by name limit ?"
        with self.file.open() as connection:
            return [name for (name,) in connection.execute(listed, (len(prefix), prefix, after, most)).fetchall()]


@dataclass(frozen=True)
class ToyPackages:
    """`PackageStore` above blobs."""

    blobs: Blobs
    place: str

    def uri(self, package_digest: str) -> str:
        """See `PackageStore`."""
        return f"toy://{self.place}/{package_digest}"

    def has(self, archive_uri: str) -> bool:
        """See `PackageStore`."""
        return bool(self.blobs.list(f"{archive_uri}/archive"))

    def signers(self, archive_uri: str) -> list[str]:
        """See `PackageStore`."""
        found = names(self.blobs, f"{archive_uri}/signed/")
        return sorted({name.removeprefix(f"{archive_uri}/signed/")[:12] for name in found})

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        """See `PackageStore`."""
        folder = f"{archive_uri}/signed/{key_id(public_key)}/"
        found = {name.removeprefix(folder): b"".join(self.blobs.get(name)) for name in names(self.blobs, folder)}
        if not found:
            raise Unsigned(f"{archive_uri} is not signed with the key {key_id(public_key)[:12]}")
        return Attestation.of(found)

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        """See `PackageStore`."""
        folder = f"{self.uri(sealed.digest)}/signed/{key_id(public_key)}/"
        if not self.blobs.list(folder):
            for name, content in evidence.files().items():
                self.blobs.put_new(folder + name, content)

    def put(self, sealed: SealedPackage) -> str:
        """See `PackageStore`."""
        uri = self.uri(sealed.digest)
        try:
            self.blobs.put_new(f"{uri}/archive", sealed.path.read_bytes())
        except Conflict as error:
            raise RegistryError(str(error)) from None
        return uri

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """See `PackageStore`."""
        try:
            content = b"".join(self.blobs.get(f"{archive_uri}/archive"))
        except FileNotFoundError:
            raise RegistryError(f"cannot read {archive_uri}: it is not there") from None
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != package_digest:
            raise RegistryError(f"{archive_uri} has digest {found}, expected {package_digest}")
        to.write_bytes(content)


@dataclass(frozen=True)
class ToyVersions:
    """`Versions` above documents: `version#1`, `version#2`, ..."""

    documents: Documents

    def list(self, about: str = "") -> Iterator[Version]:
        """See `Versions`."""
        found = reversed([*self.documents.scan("versions", float("inf"))])
        versions = (_version(one) for one in found)
        return (one for one in versions if about in {"", one.recipe, one.package_digest})

    def get(self, name: str) -> Version | None:
        """See `Versions`."""
        found = self.documents.get([name])[name]
        return _version(found) if found.revision else None

    def digests(self) -> Mapping[str, str]:
        """See `Versions`."""
        return {one.name: one.package_digest for one in self.list()}

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        """See `Versions`."""
        for one in (known := [*self.list()]):
            if (one.package_digest, one.image_uri) == (package.package_digest, package.image_uri):
                return one.name
        number = len(known) + 1
        content = asdict(package) | {"lineage": {**lineage, REGISTERED_BY: "toy"}, "approval": PENDING, "why": ""}
        content["created"] = datetime.now(UTC).isoformat()
        document = Document(f"version#{number}", content, queue="versions", since=number)
        return document.key if not self.documents.transact([document]) else self.add(package, evidence, lineage)

    def decide(self, name: str, approval: str, why: str) -> None:
        """Write what was decided about a version."""
        found = self.documents.get([name])[name]
        if self.documents.transact([replace(found, body={**found.body, "approval": approval, "why": why})]):
            self.decide(name, approval, why)


def _version(document: Document) -> Version:
    body = {name: value for name, value in document.body.items() if name != "model_package_arn"}
    given = body | {"metrics": {name: f"{value:.6g}" for name, value in body["metrics"].items()}}
    return Version(document.key, int(document.since), **given | {"created": datetime.fromisoformat(body["created"])})


@dataclass(frozen=True)
class ToyTraffic:
    """`Traffic`: what the document `endpoint` says."""

    documents: ToyDocuments

    def read(self) -> Live:
        """See `Traffic`."""
        body = self.documents.get(["endpoint"])["endpoint"].body
        weights = body.get("weights", {}).items()
        return Live("ready", body.get("config", ""), {name: Variant(one, one, 1) for name, one in weights})

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """See `Traffic`."""
        live = self.read()
        if unknown := weights.keys() - live.variants.keys():
            raise RolloutError(f"the endpoint has no variant {', '.join(sorted(unknown))}")
        self._write(live.config, {**{name: one.weight for name, one in live.variants.items()}, **weights})

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        """See `Traffic`."""
        configs = self.documents.get(["configs"])["configs"].body
        if name not in configs:
            raise RolloutError(f"there is no endpoint config {name}")
        self._write(name, configs[name])

    def _write(self, config: str, weights: Mapping[str, float]) -> None:
        found = self.documents.get(["endpoint"])["endpoint"]
        if self.documents.transact([replace(found, body={"config": config, "weights": dict(weights)})]):
            self._write(config, weights)


async def declare(settings: Settings, stack: str) -> None:
    """Declare a stack: a file."""
    pulumi.export("platform", settings.platform)
    pulumi.export("file", str(Path.cwd() / f"{settings.model.name}-{stack}.sqlite"))


def problems(settings: Settings, _stack: str) -> list[Problem]:
    """What the toy refuses of a config."""
    replay = settings.rollout.replay
    return [Problem("rollout.replay", "nothing is captured here; allowed is null", str(replay))] if replay else []


def champion(_stack: str, outputs: Mapping[str, Any], _account: str | None) -> dict[str, Any] | None:
    """What serves on a stack here."""
    found = DocumentJournal(ToyDocuments(File(Path(outputs["file"]))), "toy").read().champion
    return json.loads(json.dumps(found.as_dict())) if found else None
