"""Registered packages: their versions, signatures and bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.facts import PackageVersion, package_of
from modelstack.records.provenance.evidence import Attestation
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.state import RolloutState
from modelstack.services.package_registry import StackPackageStore, verify_past
from modelstack.services.sealed_packages import RegistryError
from modelstack.services.versions import Versions


@dataclass(frozen=True)
class PackageStore:
    """The packages of one stack; `state` reads the journal, None for a stack that cannot move to another store.

    Methods raise OperatorError without an answer, and RegistryError where bytes do not match their digest.
    """

    store: StackPackageStore
    versions: Versions
    state: Callable[[], RolloutState] | None = None

    def digests(self) -> Mapping[str, str]:
        """Name -> package digest of every registered version, newest first."""
        with explained("reading the registered packages"):
            return self.versions.digests()

    def package(self, name: str) -> PackageVersion:
        """A registered version by its name."""
        with explained(f"reading {name}"):
            found = self.versions.get(name)
        if found is None:
            raise OperatorError(f"reading {name}: no such version is registered")
        return package_of(found)

    def signers(self, digest: str) -> list[str]:
        """The first 12 digits of each signing key's id; nothing is verified."""
        with explained(f"looking for {digest}"):
            return self.store.signers(self._archive(digest))

    def evidence(self, digest: str, key: bytes) -> Attestation:
        """What a key has signed about a package; SignatureError without it. `verify` it before use."""
        with _reading(f"reading the signatures of {digest}"):
            return self.store.evidence(self._archive(digest), key)

    def fetch(self, digest: str, to: Path) -> None:
        """Write an archive into a file, which appears only if the bytes have the digest."""
        with _reading(f"reading {digest}"):
            self.store.fetch(self._archive(digest), digest, to)

    def verified(self, digest: str, image: str, key: bytes) -> str:
        """The verified archive's URI of a past release, whose image exists too.

        Raises Gone if one of them no longer exists, SignatureError if the archive is not what was signed.
        """
        with _reading(f"looking at the package {digest}"):
            return verify_past(self.store, self._places(digest), digest, image, key)

    def restoring(self, digest: str) -> str:
        """A sentence on how to restore a package with damaged bytes."""
        return self.store.restoring(self._archive(digest))

    def _archive(self, digest: str) -> str:
        places = self._places(digest) if self.state else ()
        return next((uri for uri in places if self.store.has(uri)), self.store.uri(digest))

    def _places(self, digest: str) -> Iterator[str]:
        """URIs where an archive may be: the current store, then those in registry and journal.

        A stack that moved between registry and bucket leaves its packages in place.
        """
        own = self.store.uri(digest)
        yield own
        if self.state is None:
            return
        with explained(f"looking where {digest} was put"):
            named = [one.archive_uri for one in self.versions.list(digest) if one.package_digest == digest]
            named += [one.archive_uri for one in self.state().releases() if one.package_digest == digest]
        yield from (one for one in dict.fromkeys(named) if one and one != own)


def newest(versions: Versions, limit: int) -> list[PackageVersion]:
    """The newest registered versions, newest first; OperatorError if they cannot be read."""
    with explained("reading the registered packages"):
        return [package_of(one) for one in islice(versions.list(), limit)]


@contextmanager
def _reading(doing: str) -> Generator[None]:
    """Distinguish a store that does not answer, or denies access, from one with the wrong bytes."""
    try:
        with explained(doing):
            yield
    except OperatorError as error:
        cause = error.__cause__
        if isinstance(cause, RegistryError) and not isinstance(cause, Unreachable):
            raise cause from None
        raise
