"""`PackageStore` in an image registry.

A package is an artifact whose archive is a blob, named by `archive_uri`. The signed documents of each key are another
artifact that refers to it. For a registry without a referrers API, they are listed in an index under a tag that is made
of the subject's digest. Source: OCI distribution specification v1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.pipeline import archive
from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.kubernetes import artifacts
from modelstack.platforms.kubernetes.oci import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Manifest,
    OciError,
    OciRepository,
    OciUnreachable,
    canonical,
    manifests_in,
    sha256,
)
from modelstack.records.provenance.envelope import SignatureError, key_id
from modelstack.records.provenance.evidence import Attestation
from modelstack.services.sealed_packages import RegistryError, Unsigned
from modelstack.serving.registry_protocol import Blob, ProtocolError

_KEY_DIGITS, _TRIES = 12, 5
MOST_SIGNATURES = 32
"""Maximum signatures of one key to try; there are several only after concurrent updates of two stacks."""


def store_of(archive_uri: str) -> RegistryPackageStore:
    """The store of a package; raises OciError if the URI is not one of a registry."""
    blob = _blob(archive_uri)
    return RegistryPackageStore(OciRepository.of(f"{blob.registry}/{blob.repository}"))


@dataclass(frozen=True)
class RegistryPackageStore:
    """`PackageStore` in an image repository. Every method raises OciError if the registry refuses or is down."""

    registry: OciRepository

    def uri(self, package_digest: str) -> str:
        return self.registry.uri(package_digest)

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        """The verified documents that a key has signed. A writer of the repository can add some, but not forge them.

        Raises:
            Unsigned: There is no signature with that key.
            SignatureError: A signature is invalid.
        """
        digest = self._here(archive_uri)
        subject = self._manifest(digest)
        found = referrers(self.registry, subject.digest, artifacts.EVIDENCE_TYPE) if subject else []
        wrong: RegistryError | SignatureError | None = None
        for descriptor in [one for one in found if _signed_by(one) == key_id(public_key)][:MOST_SIGNATURES]:
            try:
                evidence = self._evidence(str(descriptor.get("digest")))
                if evidence is None:
                    continue
                evidence.verify(digest, public_key)
            except OciUnreachable:
                raise
            except (RegistryError, SignatureError) as error:
                wrong = wrong or error
            else:
                return evidence
        raise wrong or Unsigned(
            f"{archive_uri} is not signed with the key {key_id(public_key)[:12]}. Run `pulumi up` on the stack that "
            "registered it, which signs it"
        )

    def has(self, archive_uri: str) -> bool:
        return self.registry.has(self._here(archive_uri))

    def signers(self, archive_uri: str) -> list[str]:
        subject = self._manifest(self._here(archive_uri))
        found = referrers(self.registry, subject.digest, artifacts.EVIDENCE_TYPE) if subject else []
        signed = dict.fromkeys(one for one in map(_signed_by, found) if isinstance(one, str))
        return [one[:_KEY_DIGITS] for one in signed]

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        files, subject = evidence.files(), self._manifest(sealed.digest)
        about = subject.content if subject else _manifest_of(sealed)
        for content in (artifacts.EMPTY, *files.values()):
            self.registry.put(content)
        content = artifacts.evidence_manifest(files, public_key, about)
        refer(self.registry, content, sha256(about), artifacts.tag_of(sealed.digest, public_key))

    def put(self, sealed: SealedPackage) -> str:
        """See `PackageStore`. The tag, by which everything is found, is written last."""
        for content in (artifacts.EMPTY, *archive.documents(sealed.path).values(), sealed.path):
            self.registry.put(content)
        if self._manifest(sealed.digest) is None:
            self.registry.put_manifest(_manifest_of(sealed), artifacts.MANIFEST_TYPE, artifacts.tag_of(sealed.digest))
        return self.uri(sealed.digest)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        if self._here(archive_uri) != package_digest:
            raise OciError(f"{archive_uri} does not name the package {package_digest}: nothing was read")
        self.registry.download(package_digest, to)

    def _here(self, archive_uri: str) -> str:
        """The digest in a URI of this repository."""
        blob = _blob(archive_uri)
        if f"{blob.registry}/{blob.repository}" != self.registry.place:
            raise OciError(f"{archive_uri} is not in {self.registry.place}, where it is looked for")
        return blob.digest

    def _manifest(self, package_digest: str) -> Manifest | None:
        """The manifest of a package, if it exists."""
        tag = artifacts.tag_of(package_digest)
        found = self.registry.manifest(tag)
        if found is not None and not artifacts.is_of(found, package_digest):
            raise OciError(
                f"{self.registry.uri(tag)} is {found.digest}, which is no manifest of the package {package_digest}: "
                "somebody has moved the tag. Find out who; then delete the tag and run again"
            )
        return found

    def _evidence(self, digest: str) -> Attestation | None:
        """The documents of a manifest; None if it is listed but no longer exists."""
        manifest = self.registry.manifest(digest)
        if manifest is None:
            return None
        return Attestation.of({name: self.registry.read(one) for name, one in artifacts.files_of(manifest).items()})


def _manifest_of(sealed: SealedPackage) -> bytes:
    return artifacts.package_manifest(sealed.digest, sealed.path.stat().st_size, archive.documents(sealed.path))


def _signed_by(descriptor: Mapping[str, object]) -> object:
    annotations = descriptor.get("annotations")
    return annotations.get(artifacts.SIGNED_BY) if isinstance(annotations, dict) else None


def _blob(archive_uri: str) -> Blob:
    try:
        return Blob.parse(archive_uri)
    except ProtocolError as error:
        raise OciError(str(error)) from None


def refer(registry: OciRepository, content: bytes, subject: str, tag: str) -> None:
    """Upload a manifest that refers to another one, so that `referrers` finds it.

    The index may be written concurrently, and the last write wins: so it is read back, and written again. The manifest
    gets a tag, because a registry's clean-up may delete one that only an index names.
    """
    if registry.put_manifest(content, MANIFEST_TYPE, tag):
        return
    value: dict[str, Any] = json.loads(content)
    described = {"mediaType": MANIFEST_TYPE, "digest": sha256(content), "size": len(content)}
    described |= {name: value[name] for name in ("artifactType", "annotations") if name in value}
    for _ in range(_TRIES):
        known = _tagged(registry, subject)
        if any(one.get("digest") == described["digest"] for one in known):
            return
        there = [one for one in known if registry.manifest(str(one.get("digest"))) is not None]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*there, described]}
        registry.put_manifest(canonical(index), INDEX_TYPE, _tag(subject))
    raise OciError(f"{registry.uri(_tag(subject))} does not keep what is added to it, because others write it, too")


def referrers(registry: OciRepository, subject: str, artifact_type: str) -> list[dict[str, Any]]:
    """Descriptors of the manifests of one type that refer to one, sorted by digest."""
    told = registry.referrers(subject)
    found = _tagged(registry, subject) if told is None else told
    ours = [one for one in found if one.get("artifactType") == artifact_type]
    return sorted(ours, key=lambda one: str(one.get("digest")))


def _tagged(registry: OciRepository, subject: str) -> list[dict[str, Any]]:
    index = registry.manifest(_tag(subject))
    return manifests_in(index.content) if index else []


def _tag(subject: str) -> str:
    return subject.replace(":", "-")
