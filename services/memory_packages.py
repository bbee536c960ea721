"""A package registry in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, MutableSequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.pack import Registered, SealedPackage
from provenance.envelope import key_id
from provenance.evidence import Attestation
from services.sealed_packages import REGISTERED_BY, RegistryError, Unsigned
from services.versions import PENDING, Version

_DIGITS = 12


@dataclass
class MemoryPackageStore:
    """`PackageStore` in memory; `signed` maps URI and key id to the evidence of the key."""

    name: str = "memory"
    archives: dict[str, bytes] = field(default_factory=dict[str, bytes])
    signed: dict[tuple[str, str], Attestation] = field(default_factory=dict[tuple[str, str], Attestation])

    def uri(self, package_digest: str) -> str:
        return f"memory://{self.name}/{package_digest}"

    def has(self, archive_uri: str) -> bool:
        return archive_uri in self.archives

    def signers(self, archive_uri: str) -> list[str]:
        return [key[:_DIGITS] for uri, key in self.signed if uri == archive_uri]

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        key = key_id(public_key)
        if (archive_uri, key) not in self.signed:
            raise Unsigned(f"{archive_uri} is not signed with the key {key[:_DIGITS]}")
        return self.signed[archive_uri, key]

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        self.signed.setdefault((self.uri(sealed.digest), key_id(public_key)), evidence)

    def put(self, sealed: SealedPackage) -> str:
        uri, content = self.uri(sealed.digest), sealed.path.read_bytes()
        if self.archives.setdefault(uri, content) != content:
            raise RegistryError(f"{uri} is there with other bytes, expected {sealed.digest}")
        return uri

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        content = self.archives.get(archive_uri)
        if content is None:
            raise RegistryError(f"cannot read {archive_uri}: it is not there")
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != package_digest:
            raise RegistryError(f"{archive_uri} has digest {found}, expected {package_digest}")
        to.write_bytes(content)


@dataclass
class MemoryVersions:
    """`Versions` in memory, registered by `who`; `stored` has the oldest first."""

    who: str = "somebody"
    stored: MutableSequence[Version] = field(default_factory=list[Version])

    def list(self, about: str = "") -> Iterator[Version]:
        return (one for one in reversed(self.stored) if about in {"", one.recipe, one.package_digest})

    def get(self, name: str) -> Version | None:
        return next((one for one in self.stored if one.name == name), None)

    def digests(self) -> Mapping[str, str]:
        return {one.name: one.package_digest for one in self.list()}

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        same = (package.package_digest, package.image_uri)
        for one in self.stored:
            if (one.package_digest, one.image_uri) == same:
                return one.name
        number = len(self.stored) + 1
        self.stored.append(
            Version(
                name=f"version/{number}",
                number=number,
                recipe=package.recipe,
                package_digest=package.package_digest,
                manifest_sha256=package.manifest_sha256,
                archive_uri=package.archive_uri,
                image_uri=package.image_uri,
                approval=PENDING,
                why="",
                created=datetime.now(UTC),
                metrics={name: f"{value:.6g}" for name, value in sorted(package.metrics.items())},
                lineage={**lineage, REGISTERED_BY: self.who},
            )
        )
        return f"version/{number}"

    def decide(self, name: str, approval: str, why: str) -> None:
        """Set the approval of a version."""
        self.stored = [replace(one, approval=approval, why=why) if one.name == name else one for one in self.stored]
