"""Put a sealed package where a stack finds it, and get it back, believing nothing but digests and signatures.

    place = Place(store, catalogue, "<image>", signer)
    registered = register(sealed, signed(sealed, place), place)
    same = copy(champion, theirs, place)                # promotion: same bytes, whatever the two platforms are

A store holds bytes: archives by their digests, with the JSON files of their tops beside them, and what is signed of
each. A catalogue holds the versions that wait for approval. Every call may be repeated, and goes on where an
interrupted one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pipeline.gate import Gates, gate
from pipeline.origin import facts_of
from pipeline.pack import Registered, SealedPackage, describe
from platforms.sealed_packages import PROMOTED_FROM, TRAINED_BY, RegistryError, Unsigned
from provenance.envelope import Signer
from provenance.evidence import Evidence, sign


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


class Store(Protocol):
    """Holds archives and what is signed of them, each under a name that its bytes or its key decide."""

    def uri(self, package_digest: str) -> str:
        """Where the archive of a digest lies here, or would."""
        ...

    def said(self, archive_uri: str, public_key: bytes) -> Evidence:
        """What was signed with a key of an archive; nothing is verified but what names the documents.

        Raises:
            Unsigned: There is no signature with that key.
            SignatureError: What names the documents is not signed with it.
            RegistryError: A document is missing or too long.
        """
        ...

    def keep(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        """Put documents and signatures where those of an archive are; what is there is compared.

        Raises:
            RegistryError: Other bytes are there.
        """
        ...

    def put(self, sealed: SealedPackage) -> str:
        """Put an archive, and the JSON files of its top beside it; returns the archive's URI.

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


class Catalogue(Protocol):
    """Holds the versions of a stack's model, each with what a person or a rollout decided about it."""

    def find(self, package: Registered) -> str | None:
        """The name of the version of a package in an image, or None."""
        ...

    def create(self, package: Registered, said: Evidence, lineage: Mapping[str, str]) -> str:
        """Add a version, waiting for approval; returns its name."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a package is registered, with which image, and who signs it."""

    store: Store
    catalogue: Catalogue
    image: str
    signer: Signer


@dataclass(frozen=True)
class Origin:
    """Where another stack has its packages.

    Attributes:
        store: Its store.
        made_by: Tells who made a version, by the version's name; empty where nobody knows.
    """

    store: Store
    made_by: Callable[[str], str]


def signed(sealed: SealedPackage, place: Place) -> Evidence:
    """Sign what is said of a sealed package, and keep it where the archive goes.

    Args:
        sealed: The package; its archive is checked again before anything is said of it.
        place: Where to. A package that its signer has signed before is not signed again: what was said then is kept.

    Raises:
        RegistryError: Something is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
        OriginError: Where the package came from is not known.
        SignatureError: What lies there as signed is not what the stack has signed.
    """
    checked = describe(sealed.path, sealed.digest)
    return _signed_once(checked, place, lambda: sign(facts_of(checked), place.signer))


def register(
    sealed: SealedPackage, said: Evidence, place: Place, lineage: Mapping[str, str] | None = None
) -> Registered:
    """Upload a sealed package, and register it, waiting for approval.

    Args:
        sealed: The package.
        said: What was signed of it.
        place: Where to.
        lineage: Where it comes from besides its recipe, kept with the version.

    Raises:
        RegistryError: Something is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
        SignatureError: It is not what was signed.
    """
    said.verify(sealed.digest, place.signer.public_key)
    checked = describe(sealed.path, sealed.digest)
    registered = Registered(
        model_package_arn="",
        archive_uri=place.store.put(checked),
        package_digest=checked.digest,
        manifest_sha256=checked.manifest_sha256,
        recipe=checked.recipe,
        image_uri=place.image,
        metrics=checked.metrics,
    )
    known = place.catalogue.find(registered)
    return replace(registered, model_package_arn=known or place.catalogue.create(registered, said, lineage or {}))


def publish(sealed: SealedPackage, place: Place, lineage: Mapping[str, str] | None = None) -> Registered:
    """Sign and register a sealed package; see `signed` and `register`."""
    return register(sealed, signed(sealed, place), place, lineage)


def copy(source: ReleaseRecord, theirs: Origin, place: Place, gates: Gates | None = None) -> Registered:
    """Promote: register the same bytes, by digest, in another stack.

    Args:
        source: The champion of the stack to take from.
        theirs: Where that stack has it.
        place: This stack's. Its signer signs what the source has signed, whose signatures stay beside its own.
        gates: What the package must show in this stack.

    Raises:
        Unsigned: The source has not signed it. Nothing was registered.
        SignatureError: It is not what the source has signed. Nothing was registered.
        RegistryError: The source's bytes are missing or have another digest. Nothing was registered.
        GateError: A gate is not understood. Nothing was registered.
        GateRefused: At least one bound is not kept. Nothing was registered.
    """
    with _fetched(source, theirs.store) as (sealed, said):
        gate(sealed.metrics, gates or {})
        by = theirs.made_by(source.model_package_arn)
        place.store.keep(said, sealed, source.signed_by)
        lineage = {PROMOTED_FROM: source.model_package_arn, **({TRAINED_BY: by} if by else {})}
        ours = _signed_once(sealed, place, lambda: said.signed_again(source.signed_by, place.signer))
        return register(sealed, ours, place, lineage)


def take(candidate: ReleaseRecord, recipe: str, place: Place, gates: Gates | None = None) -> Registered:
    """Take a package that lies in this registry already, as a training job left it: nothing is trained or copied.

    Registered as it is, it keeps its version and its approval; only another image makes another version of it.

    Args:
        candidate: The package.
        recipe: The digest of the recipe that is wanted.
        place: This stack's, whose signer has signed it.
        gates: What it must show; judged anew, since gates may have changed.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing, have another digest or are of another recipe.
        GateError: A gate is not understood.
        GateRefused: At least one bound is not kept.
    """
    with _fetched(candidate, place.store) as (sealed, ours):
        if sealed.recipe != recipe:
            raise RegistryError(f"{candidate.archive_uri} is of recipe {sealed.recipe}, expected {recipe}")
        gate(sealed.metrics, gates or {})
        return register(sealed, _signed_once(sealed, place, lambda: ours), place)


def check(package: ReleaseRecord, store: Store) -> None:
    """See that a package which lies in a store is what was signed there; nothing changes.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing or have another digest.
    """
    with _fetched(package, store):
        pass


@contextmanager
def _fetched(source: ReleaseRecord, store: Store) -> Generator[tuple[SealedPackage, Evidence]]:
    """The package of a record and what is said of it, while they are looked at.

    The archive is parsed last: after the signatures were verified, and after its bytes have the digest that was signed.
    """
    evidence = store.said(source.archive_uri, source.signed_by)
    evidence.verify(source.package_digest, source.signed_by)
    with TemporaryDirectory(prefix="modelstack-") as folder:
        path = Path(folder) / "model.tar.gz"
        store.fetch(source.archive_uri, source.package_digest, path)
        yield describe(path, source.package_digest), evidence


def _signed_once(sealed: SealedPackage, place: Place, make: Callable[[], Evidence]) -> Evidence:
    """Sign a package, unless it is signed with that key already; returns what is signed, verified if it was there."""
    store, key = place.store, place.signer.public_key
    try:
        evidence = store.said(store.uri(sealed.digest), key)
        evidence.verify(sealed.digest, key)
    except Unsigned:
        evidence = make()
        store.keep(evidence, sealed, key)
    return evidence
