"""Put a sealed package where a stack finds it, and get it back, believing nothing but digests and signatures.

    registry = PackageRegistry(store, versions, "<image>", signer)
    registered = publish(sealed, registry)
    same = copy(champion, theirs, registry)             # promotion: same bytes, whatever the two platforms are

A store holds bytes: archives by their digests, with the JSON files of their tops next to them, and what is signed of
each. The versions wait for approval. Every call may be repeated, and continues where an interrupted one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pipeline.gate import Gates, gate
from pipeline.origin import facts_of
from pipeline.pack import Registered, SealedPackage, describe
from provenance.envelope import Signer
from provenance.evidence import Evidence, sign
from services.sealed_packages import PROMOTED_FROM, TRAINED_BY, Gone, RegistryError, Unsigned
from services.versions import Versions


@dataclass(frozen=True)
class ReleaseRecord:
    """What another stack says of its champion, or a training job of its candidate: enough to take the same bytes.

    Attributes:
        archive_uri: Where its archive lies.
        package_digest: `sha256:<hex>` the archive must have.
        model_package_arn: The version it is registered as there; of a champion, kept as where this package came from;
            empty of one of this stack, where only the bytes count.
        signed_by: The public key that is trusted to have signed it, PEM.
    """

    archive_uri: str
    package_digest: str
    model_package_arn: str
    signed_by: bytes


class PackageStore(Protocol):
    """Holds archives and what is signed of them, each under a name that its bytes or its key decide."""

    def uri(self, package_digest: str) -> str:
        """Where the archive of a digest is here, or would be."""
        ...

    def has(self, archive_uri: str) -> bool:
        """Whether an archive is there; nothing of it is read."""
        ...

    def signers(self, archive_uri: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed an archive; nothing is verified."""
        ...

    def evidence(self, archive_uri: str, public_key: bytes) -> Evidence:
        """What was signed with a key of an archive; nothing is verified but what names the documents.

        Raises:
            Unsigned: There is no signature with that key.
            SignatureError: What names the documents is not signed with it.
            RegistryError: A document is missing or too long.
        """
        ...

    def put_evidence(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        """Put documents and signatures where those of an archive are; what is there is compared.

        Raises:
            RegistryError: Other bytes are there.
        """
        ...

    def put(self, sealed: SealedPackage) -> str:
        """Put an archive, and the JSON files of its top next to it; returns the archive's URI.

        Raises:
            RegistryError: Other bytes are there under one of these names.
        """
        ...

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """Write an archive into a file, which appears only if the bytes have the digest.

        Raises:
            RegistryError: It is not there, or has another digest.
        """
        ...


class StackPackageStore(PackageStore, Protocol):
    """The store of one stack, which also says what became of a package that is missing."""

    def why_gone(self, archive_uris: Sequence[str]) -> str:
        """Why an archive is in none of the places where it may be, and how it is restored."""
        ...

    def restoring(self, archive_uri: str) -> str:
        """How an archive that was changed is restored, in a sentence or two."""
        ...

    def check_image(self, image: str) -> None:
        """See that a serving image is still in its repository; the trial reports one that may not be looked at.

        Raises:
            Gone: It is not.
        """
        ...


@dataclass(frozen=True)
class PackageRegistry:
    """Where a package is registered, with which image, and who signs it."""

    store: PackageStore
    versions: Versions
    image: str
    signer: Signer


@dataclass(frozen=True)
class Origin:
    """Where another stack has its packages.

    Attributes:
        store: Its store.
        versions: Its versions; None where they may not be read.
    """

    store: PackageStore
    versions: Versions | None

    def made_by(self, version: str) -> str:
        """Who made a version first, by the version's name; empty where nobody knows."""
        found = self.versions.get(version) if self.versions else None
        return next(iter(found.made_by), "") if found else ""


def signed(sealed: SealedPackage, registry: PackageRegistry) -> Evidence:
    """Sign what is said of a sealed package, and keep it where the archive goes.

    Args:
        sealed: The package; its archive is checked again before anything is said of it.
        registry: Where to. A package that its signer has signed before is not signed again: what was said then is kept.

    Raises:
        RegistryError: Something is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
        OriginError: Where the package came from is not known.
        SignatureError: What lies there as signed is not what the stack has signed.
    """
    checked = describe(sealed.path, sealed.digest)
    return _signed_once(checked, registry, lambda: sign(facts_of(checked), registry.signer))


def register(
    sealed: SealedPackage, evidence: Evidence, registry: PackageRegistry, lineage: Mapping[str, str] | None = None
) -> Registered:
    """Upload a sealed package, and register it, waiting for approval.

    Args:
        sealed: The package.
        evidence: What was signed of it.
        registry: Where to.
        lineage: Where it comes from besides its recipe, kept with the version.

    Raises:
        RegistryError: Something is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
        SignatureError: It is not what was signed.
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
    """Promote: register the same bytes, by digest, in another stack.

    Args:
        source: The champion of the stack to take from.
        theirs: Where that stack has it.
        registry: This stack's. Its signer signs what the source has signed, whose signatures stay beside its own.
        gates: What the package must show in this stack.

    Raises:
        Unsigned: The source has not signed it. Nothing was registered.
        SignatureError: It is not what the source has signed. Nothing was registered.
        RegistryError: The source's bytes are missing or have another digest. Nothing was registered.
        GateError: A gate is not understood. Nothing was registered.
        GateRefused: At least one bound is not kept. Nothing was registered.
    """
    with _fetched(source, theirs.store) as (sealed, evidence):
        gate(sealed.metrics, gates or {})
        by = theirs.made_by(source.model_package_arn)
        registry.store.put_evidence(evidence, sealed, source.signed_by)
        lineage = {PROMOTED_FROM: source.model_package_arn, **({TRAINED_BY: by} if by else {})}
        ours = _signed_once(sealed, registry, lambda: evidence.signed_again(source.signed_by, registry.signer))
        return register(sealed, ours, registry, lineage)


def take(candidate: ReleaseRecord, recipe: str, registry: PackageRegistry, gates: Gates | None = None) -> Registered:
    """Take a package that lies in this registry already, as a training job left it: nothing is trained or copied.

    Registered as it is, it keeps its version and its approval; only another image makes another version of it.

    Args:
        candidate: The package.
        recipe: The digest of the recipe that is wanted.
        registry: This stack's, whose signer has signed it.
        gates: What it must show; judged anew, since gates may have changed.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing, have another digest or are of another recipe.
        GateError: A gate is not understood.
        GateRefused: At least one bound is not kept.
    """
    with _fetched(candidate, registry.store) as (sealed, ours):
        if sealed.recipe != recipe:
            raise RegistryError(f"{candidate.archive_uri} is of recipe {sealed.recipe}, expected {recipe}")
        gate(sealed.metrics, gates or {})
        return register(sealed, _signed_once(sealed, registry, lambda: ours), registry)


def check(package: ReleaseRecord, store: PackageStore) -> None:
    """See that a package which lies in a store is what was signed there; nothing changes.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing or have another digest.
    """
    with _fetched(package, store):
        pass


def verify_past(
    store: StackPackageStore, archive_uris: Iterable[str], package_digest: str, image: str, signed_by: bytes
) -> str:
    """See that the package of a past release is there and is what was signed, and that its image is there.

    Args:
        store: Of the stack.
        archive_uris: Where it may be; the first is where the stack puts packages now.
        package_digest: `sha256:<hex>`.
        image: What served it.
        signed_by: The public key of the stack, PEM.

    Returns:
        Where its archive is.

    Raises:
        Gone: The archive or the image is not there.
        SignatureError: The archive is not what was signed.
        RegistryError: It has another digest, or is not signed.
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
def _fetched(source: ReleaseRecord, store: PackageStore) -> Generator[tuple[SealedPackage, Evidence]]:
    """The package of a record and what is said of it, while they are looked at.

    The archive is parsed last: after the signatures were verified, and after its bytes have the digest that was signed.
    """
    evidence = store.evidence(source.archive_uri, source.signed_by)
    evidence.verify(source.package_digest, source.signed_by)
    with TemporaryDirectory(prefix="modelstack-") as folder:
        path = Path(folder) / "model.tar.gz"
        store.fetch(source.archive_uri, source.package_digest, path)
        yield describe(path, source.package_digest), evidence


def _signed_once(sealed: SealedPackage, registry: PackageRegistry, make: Callable[[], Evidence]) -> Evidence:
    """Sign a package, unless it is signed with that key already; returns what is signed, verified if it was there."""
    store, key = registry.store, registry.signer.public_key
    try:
        evidence = store.evidence(store.uri(sealed.digest), key)
        evidence.verify(sealed.digest, key)
    except Unsigned:
        evidence = make()
        store.put_evidence(evidence, sealed, key)
    return evidence
