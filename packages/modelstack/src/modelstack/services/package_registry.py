"""Publish a sealed package to a stack and fetch it back, trusting nothing but digests and signatures.

    registry = PackageRegistry(store, versions, "<image>", signer)
    registered = publish(sealed, registry)
    same = copy(champion, theirs, registry)             # promotion: same bytes, whatever the two platforms are

Every call may be repeated, and continues where an interrupted one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from modelstack.pipeline.gate import Gates, gate
from modelstack.pipeline.origin import facts_of
from modelstack.pipeline.pack import Registered, SealedPackage, describe
from modelstack.records.provenance.envelope import Signer
from modelstack.records.provenance.evidence import Attestation, sign
from modelstack.services.sealed_packages import PROMOTED_FROM, TRAINED_BY, Gone, RegistryError, Unsigned
from modelstack.services.versions import Versions


@dataclass(frozen=True)
class ReleaseRecord:
    """The champion of another stack, or the candidate of a training job: enough to take the same bytes.

    Attributes:
        package_digest: `sha256:<hex>`, which the archive must have.
        model_package_arn: Its version there, stored as the origin of a copy; empty if it is in this stack.
        signed_by: The public key that must have signed it, PEM.
    """

    archive_uri: str
    package_digest: str
    model_package_arn: str
    signed_by: bytes


class PackageStore(Protocol):
    """Stores archives and their signatures, under names that the bytes or the key decide."""

    def uri(self, package_digest: str) -> str:
        """The URI of the archive of a digest in this store, whether or not it exists."""

    def has(self, archive_uri: str) -> bool:
        """Whether an archive exists; nothing of it is read."""

    def signers(self, archive_uri: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed an archive; nothing is verified."""

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        """The evidence that a key has signed of an archive; only the statement that names the documents is verified.

        Raises `Unsigned` without a signature of that key, and `RegistryError` if a document is missing or too long.
        """

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        """Store documents and signatures next to an archive, or raise `RegistryError` if other bytes are there."""

    def put(self, sealed: SealedPackage) -> str:
        """Store an archive and the JSON files of its top; returns its URI. `RegistryError` if other bytes are there."""

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """Write an archive into a file, which appears only if the bytes have the digest (else `RegistryError`)."""


class StackPackageStore(PackageStore, Protocol):
    """The store of one stack, which also explains why a package is missing."""

    def why_gone(self, archive_uris: Sequence[str]) -> str:
        """Why an archive is at none of its possible URIs, and how it is restored."""
        where, are = " and ".join(archive_uris), "is" if len(archive_uris) == 1 else "are"
        why = "No rule of modelstack deletes a package, so its store or somebody did"
        return f"{where} {are} gone. {why}. {self.restoring(archive_uris[0])}"

    def restoring(self, archive_uri: str) -> str:
        """How a changed archive is restored, in a sentence or two."""
        return f"Restore {archive_uri} from a backup of its store."

    def check_image(self, image: str) -> None:
        """Raise `Gone` if a serving image is not in its repository; one that may not be read passes."""
        return


@dataclass(frozen=True)
class PackageRegistry:
    """Where packages are registered, with which image, and who signs them."""

    store: PackageStore
    versions: Versions
    image: str
    signer: Signer


@dataclass(frozen=True)
class Origin:
    """The packages of another stack; `versions` is None if they may not be read."""

    store: PackageStore
    versions: Versions | None

    def made_by(self, version: str) -> str:
        """Who first made a version, by its name; empty if unknown."""
        found = self.versions.get(version) if self.versions else None
        return next(iter(found.made_by), "") if found else ""


def signed(sealed: SealedPackage, registry: PackageRegistry) -> Attestation:
    """Sign the facts of a sealed package and store the evidence; evidence that this key has signed before is reused.

    Raises `RegistryError` for other stored bytes, `ArchiveError` for a changed archive, `OriginError` for an unknown
    origin, and `SignatureError` for stored evidence that the stack has not signed.
    """
    checked = describe(sealed.path, sealed.digest)
    return _signed_once(checked, registry, lambda: sign(facts_of(checked), registry.signer))


def register(
    sealed: SealedPackage, evidence: Attestation, registry: PackageRegistry, lineage: Mapping[str, str] | None = None
) -> Registered:
    """Upload a sealed package and register it, pending approval; `lineage` is stored with the version.

    Raises `RegistryError` for other stored bytes, `ArchiveError` for a changed archive, and `SignatureError` if it does
    not match the evidence.
    """
    evidence.verify(sealed.digest, registry.signer.public_key)
    checked = describe(sealed.path, sealed.digest)
    registered = Registered(
        model_package_arn="",
        archive_uri=registry.store.put(checked),
        package_digest=checked.digest,
        manifest_sha256=checked.manifest_sha256,
        recipe=checked.recipe,
        image_uri=registry.image,
        metrics=checked.metrics,
    )
    return replace(registered, model_package_arn=registry.versions.add(registered, evidence, lineage or {}))


def publish(sealed: SealedPackage, registry: PackageRegistry, lineage: Mapping[str, str] | None = None) -> Registered:
    """Sign and register a sealed package; see `signed` and `register`."""
    return register(sealed, signed(sealed, registry), registry, lineage)


def copy(source: ReleaseRecord, theirs: Origin, registry: PackageRegistry, gates: Gates | None = None) -> Registered:
    """Promote: register the champion of another stack by digest, signed again by this one.

    The source's signatures are stored next to the new ones. Nothing is registered if the source has not signed it
    (`Unsigned`), has signed something else (`SignatureError`), has other bytes or none (`RegistryError`), or if a gate
    is invalid (`GateError`) or not passed here (`GateRefused`).
    """
    with _fetched(source, theirs.store) as (sealed, evidence):
        gate(sealed.metrics, gates or {})
        by = theirs.made_by(source.model_package_arn)
        registry.store.put_evidence(evidence, sealed, source.signed_by)
        lineage = {PROMOTED_FROM: source.model_package_arn, **({TRAINED_BY: by} if by else {})}
        ours = _signed_once(sealed, registry, lambda: evidence.signed_again(source.signed_by, registry.signer))
        return register(sealed, ours, registry, lineage)


def take(candidate: ReleaseRecord, recipe: str, registry: PackageRegistry, gates: Gates | None = None) -> Registered:
    """Register a package that a training job left in this registry, by its recipe: nothing is trained or copied.

    It keeps its version and its approval; only another image makes another version. Gates are checked again, since they
    may have changed. Raises as `copy`; a package of another recipe is a `RegistryError`.
    """
    with _fetched(candidate, registry.store) as (sealed, ours):
        if sealed.recipe != recipe:
            raise RegistryError(f"{candidate.archive_uri} is of recipe {sealed.recipe}, expected {recipe}")
        gate(sealed.metrics, gates or {})
        return register(sealed, _signed_once(sealed, registry, lambda: ours), registry)


def check(package: ReleaseRecord, store: PackageStore) -> None:
    """Verify a stored package against its signature; raises `Unsigned`, `SignatureError` or `RegistryError`."""
    with _fetched(package, store):
        pass


def verify_past(
    store: StackPackageStore, archive_uris: Iterable[str], package_digest: str, image: str, signed_by: bytes
) -> str:
    """Verify the package of a past release and that its image exists; returns the URI of its archive.

    The first of `archive_uris` is where the stack stores packages now; `signed_by` is the stack's public key, PEM.
    Raises `Gone` without archive or image, and errors as `check`.
    """
    looked: list[str] = []
    for uri in archive_uris:
        looked.append(uri)
        if store.has(uri):
            break
    else:
        raise Gone(store.why_gone(looked))
    store.check_image(image)
    check(ReleaseRecord(looked[-1], package_digest, "", signed_by), store)
    return looked[-1]


@contextmanager
def _fetched(source: ReleaseRecord, store: PackageStore) -> Generator[tuple[SealedPackage, Attestation]]:
    """The package of a record and its evidence, as long as the block lasts.

    The archive is parsed last: after the signatures were verified, and after its bytes have the digest that was signed.
    """
    evidence = store.evidence(source.archive_uri, source.signed_by)
    evidence.verify(source.package_digest, source.signed_by)
    with TemporaryDirectory(prefix="modelstack-") as folder:
        path = Path(folder) / "model.tar.gz"
        store.fetch(source.archive_uri, source.package_digest, path)
        yield describe(path, source.package_digest), evidence


def _signed_once(sealed: SealedPackage, registry: PackageRegistry, make: Callable[[], Attestation]) -> Attestation:
    """Sign a package, unless it is signed with that key already; existing evidence is verified."""
    store, key = registry.store, registry.signer.public_key
    try:
        evidence = store.evidence(store.uri(sealed.digest), key)
        evidence.verify(sealed.digest, key)
    except Unsigned:
        evidence = make()
        store.put_evidence(evidence, sealed, key)
    return evidence
