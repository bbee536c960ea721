"""`PackageStore` in a registry of images.

    store = repository("registry.example/models")
    store.put(sealed)

A package is an artifact: its archive is a blob, and `archive_uri` names that blob. What is signed of it is another
artifact that refers to it, one for each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import archive
from pipeline.pack import SealedPackage
from platforms.kubernetes import artifacts
from platforms.kubernetes.oci import Manifest, OciError, OciUnreachable, Registry, sha256
from platforms.kubernetes.oci_referrers import refer, referrers
from provenance.envelope import SignatureError, key_id
from provenance.evidence import Evidence
from services.sealed_packages import RegistryError, Unsigned
from serving.registry_protocol import Blob, ProtocolError

_KEY_DIGITS = 12
MOST_SIGNATURES = 32
"""Of one key that are looked at; there are more than one only if two stacks' updates ran at once."""


def repository(registry: str) -> RegistryPackageStore:
    """The store in a repository, `HOST[:PORT]/REPOSITORY`.

    Raises:
        OciError: The repository or the docker config cannot be understood.
    """
    return RegistryPackageStore(Registry.of(registry))


def store_of(archive_uri: str) -> RegistryPackageStore:
    """The store of a package.

    Raises:
        OciError: The URI is none of a registry.
    """
    blob = _blob(archive_uri)
    return repository(f"{blob.registry}/{blob.repository}")


@dataclass(frozen=True)
class RegistryPackageStore:
    """`PackageStore` in a repository of images.

    Attributes:
        registry: The repository.
    """

    registry: Registry

    def uri(self, package_digest: str) -> str:
        """See `PackageStore`."""
        return self.registry.uri(package_digest)

    def evidence(self, archive_uri: str, public_key: bytes) -> Evidence:
        """What was signed with a key of an archive, verified. Who may write the repository can add to it, not forge it.

        Raises:
            Unsigned: There is no signature with that key.
            SignatureError: What says that it is signed with the key is not.
            OciError: The registry refuses, or what is there is not whole.
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
        """See `PackageStore`.

        Raises:
            OciError: The registry refuses, or does not answer.
        """
        return self.registry.has(self._here(archive_uri))

    def signers(self, archive_uri: str) -> list[str]:
        """See `PackageStore`.

        Raises:
            OciError: The registry refuses, or does not answer.
        """
        subject = self._manifest(self._here(archive_uri))
        found = referrers(self.registry, subject.digest, artifacts.EVIDENCE_TYPE) if subject else []
        signed = dict.fromkeys(one for one in map(_signed_by, found) if isinstance(one, str))
        return [one[:_KEY_DIGITS] for one in signed]

    def put_evidence(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        """Put documents and signatures, as an artifact that refers to the package's."""
        files, subject = evidence.files(), self._manifest(sealed.digest)
        about = subject.content if subject else _manifest_of(sealed)
        for content in (artifacts.EMPTY, *files.values()):
            self.registry.put(content)
        content = artifacts.evidence_manifest(files, public_key, about)
        refer(self.registry, content, sha256(about), artifacts.tag_of(sealed.digest, public_key))

    def put(self, sealed: SealedPackage) -> str:
        """Put an archive, and the JSON files of its top beside it; the tag, by which all is found, comes last."""
        for content in (artifacts.EMPTY, *archive.documents(sealed.path).values(), sealed.path):
            self.registry.put(content)
        if self._manifest(sealed.digest) is None:
            self.registry.put_manifest(_manifest_of(sealed), artifacts.MANIFEST_TYPE, artifacts.tag_of(sealed.digest))
        return self.uri(sealed.digest)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """See `PackageStore`."""
        if self._here(archive_uri) != package_digest:
            raise OciError(f"{archive_uri} does not name the package {package_digest}: nothing was read")
        self.registry.download(package_digest, to)

    def _here(self, archive_uri: str) -> str:
        """The digest of an archive that is named in this repository."""
        blob = _blob(archive_uri)
        if f"{blob.registry}/{blob.repository}" != self.registry.place:
            raise OciError(f"{archive_uri} is not in {self.registry.place}, where it is looked for")
        return blob.digest

    def _manifest(self, package_digest: str) -> Manifest | None:
        """The manifest of a package, if it is there."""
        tag = artifacts.tag_of(package_digest)
        found = self.registry.manifest(tag)
        if found is not None and not artifacts.is_of(found, package_digest):
            raise OciError(
                f"{self.registry.uri(tag)} is {found.digest}, which is no manifest of the package {package_digest}: "
                "somebody has moved the tag. Find out who; then delete the tag and run again"
            )
        return found

    def _evidence(self, digest: str) -> Evidence | None:
        """What a manifest of documents and signatures lists; None if it is listed itself, and not there any more."""
        manifest = self.registry.manifest(digest)
        if manifest is None:
            return None
        return Evidence.of({name: self.registry.read(one) for name, one in artifacts.files_of(manifest).items()})


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
