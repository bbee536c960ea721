"""`PackageStore` above `Blobs`, so that a platform needs none of its own.

    packages/<digest>/model.tar.gz                              the archive
    packages/<digest>/manifest.json, metrics.json, ...          the JSON files at its top, to read without the weights
    packages/<digest>/signatures/<key>/model.sig, provenance.sigstore.json       the signatures of one key
    packages/<digest>/documents/<statement>/facts.json, card.md, ...             the documents of one signed statement

Each statement has its own folder of documents: two stacks that register one package at once do not mix theirs.
The signature `provenance.sigstore.json` is written last, so everything that it names exists.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelstack.pipeline import archive
from modelstack.pipeline.pack import SealedPackage
from modelstack.records.provenance import statement
from modelstack.records.provenance.envelope import SignatureError, key_id, opened
from modelstack.records.provenance.evidence import MODEL, PROVENANCE, Attestation
from modelstack.records.provenance.statement import StatementError
from modelstack.rollout.core.errors import Conflict
from modelstack.services.package_registry import PackageStore, StackPackageStore
from modelstack.services.ports import Blobs, names
from modelstack.services.sealed_packages import RegistryError, Unsigned, folder_of, member_uri
from modelstack.serving.unpacking import MAX_BYTES

LONGEST = 16 * 1024**2
"""Maximum size of a document or signature that is read, bytes."""
_DIGITS = 12
_SIGNATURES = "signatures"


class FilePackageStore(PackageStore):
    """`PackageStore` in files with URIs; the abstract methods read and write them."""

    @abstractmethod
    def _uri(self, name: str) -> str:
        """The URI of a file that this store writes."""

    @abstractmethod
    def _write(self, name: str, content: bytes | Path) -> None:
        """Write a file, or compare the existing one (else `RegistryError`)."""

    @abstractmethod
    def _read(self, uri: str) -> Iterable[bytes]:
        """Open a file and read it in chunks, or raise `FileNotFoundError`."""

    @abstractmethod
    def _list(self, uri: str) -> Iterable[str]:
        """The URIs that begin with `uri`."""

    def uri(self, package_digest: str) -> str:
        return self._uri(f"{folder_of(package_digest)}/model.tar.gz")

    def has(self, archive_uri: str) -> bool:
        return archive_uri in self._list(archive_uri)

    def signers(self, archive_uri: str) -> list[str]:
        prefix = member_uri(archive_uri, f"{_SIGNATURES}/")
        return sorted({uri.removeprefix(prefix).partition("/")[0] for uri in self._list(prefix)})

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        signed = [
            self._get(member_uri(archive_uri, f"{_signed_by(public_key)}/{name}")) for name in (MODEL, PROVENANCE)
        ]
        model, provenance = signed
        if model is None or provenance is None:
            raise Unsigned(
                f"{archive_uri} is not signed with the key {key_id(public_key)[:_DIGITS]}, or its signature may not be "
                "read: it was registered before packages were signed. Run `pulumi up` on the stack that registered it, "
                "which signs it"
            )
        payload = opened(provenance, public_key)
        try:
            named = sorted(statement.documents_of(payload))
        except StatementError as error:
            raise SignatureError(str(error)) from None
        found = {name: self._get(member_uri(archive_uri, f"{_documents(payload)}/{name}")) for name in named}
        if missing := [name for name, content in found.items() if content is None]:
            raise RegistryError(f"{member_uri(archive_uri, _documents(payload))} lacks {', '.join(missing)}")
        return Attestation({name: content for name, content in found.items() if content is not None}, model, provenance)

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        signed, documents = _signed_by(public_key), _documents(opened(evidence.provenance, public_key))
        files = {f"{documents}/{name}": content for name, content in sorted(evidence.documents.items())}
        # An interrupted call may have left a signature of the model: no two of one archive have the same bytes.
        there = self._get(member_uri(self.uri(sealed.digest), f"{signed}/{MODEL}"))
        same = there is not None and opened(there, public_key) == opened(evidence.model, public_key)
        files[f"{signed}/{MODEL}"] = there if there is not None and same else evidence.model
        files[f"{signed}/{PROVENANCE}"] = evidence.provenance
        for name, content in files.items():
            self._write(f"{folder_of(sealed.digest)}/{name}", content)

    def put(self, sealed: SealedPackage) -> str:
        """See `PackageStore`. The archive is written last, so its JSON files exist when it does."""
        files = {**archive.documents(sealed.path), "model.tar.gz": sealed.path}
        for name, content in files.items():
            self._write(f"{folder_of(sealed.digest)}/{name}", content)
        return self.uri(sealed.digest)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        unproven = to.with_name(to.name + ".partial")
        sha256 = hashlib.sha256()
        try:
            chunks = self._read(archive_uri)
        except FileNotFoundError as error:
            raise RegistryError(f"cannot read {archive_uri}: {error}") from error.__cause__
        try:
            with unproven.open("wb") as file:
                for block in chunks:
                    sha256.update(block)
                    if file.tell() + len(block) > MAX_BYTES:
                        raise RegistryError(f"{archive_uri} has more than {MAX_BYTES:,} bytes: nothing in it was read")
                    file.write(block)
            found = f"sha256:{sha256.hexdigest()}"
            if found != package_digest:
                raise RegistryError(
                    f"{archive_uri} has digest {found}, expected {package_digest}: it was changed after it was "
                    "registered"
                )
            unproven.replace(to)
        finally:
            unproven.unlink(missing_ok=True)

    def _get(self, uri: str) -> bytes | None:
        content = bytearray()
        try:
            for block in self._read(uri):
                content += block
                if len(content) > LONGEST:
                    raise RegistryError(f"{uri} has more than {LONGEST:,} bytes: nothing in it was read")
        except FileNotFoundError:
            return None
        return bytes(content)


@dataclass(frozen=True)
class BlobPackageStore(FilePackageStore, StackPackageStore):
    """`StackPackageStore` above blobs, whose names are the URIs; `place` begins them, such as `toy://dev`."""

    blobs: Blobs
    place: str

    def _uri(self, name: str) -> str:
        return f"{self.place}/{name}"

    def _write(self, name: str, content: bytes | Path) -> None:
        try:
            self.blobs.put_new(self._uri(name), content if isinstance(content, bytes) else content.read_bytes())
        except Conflict as error:
            raise RegistryError(str(error)) from None

    def _read(self, uri: str) -> Iterable[bytes]:
        return self.blobs.get(uri)

    def _list(self, uri: str) -> Iterable[str]:
        return names(self.blobs, uri)


def _signed_by(public_key: bytes) -> str:
    return f"{_SIGNATURES}/{key_id(public_key)[:_DIGITS]}"


def _documents(payload: bytes) -> str:
    return f"documents/{hashlib.sha256(payload).hexdigest()[:_DIGITS]}"
