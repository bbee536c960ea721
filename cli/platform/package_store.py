"""What the commands need of where sealed packages are: what is registered, what was signed, and the bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cli.errors import OperatorError, explained
from cli.platform.facts import Package, package_of
from provenance.evidence import Evidence
from rollout.core.errors import Unreachable
from rollout.core.state import RolloutState
from services.package_registry import StackPackageStore, verify_past
from services.sealed_packages import RegistryError
from services.versions import Versions


@dataclass(frozen=True)
class PackageStore:
    """The packages of one stack.

    Everything raises OperatorError where the platform does not answer, and RegistryError where bytes are not what
    their name says.

    Attributes:
        store: Where the bytes are.
        versions: What is registered.
        state: Reads the journal, of a stack that may have been moved to another store; None of one that stays.
    """

    store: StackPackageStore
    versions: Versions
    state: Callable[[], RolloutState] | None = None

    def digests(self) -> Mapping[str, str]:
        """Name -> package digest of every registered version, the newest first."""
        with explained("reading the registered packages"):
            return self.versions.digests()

    def package(self, name: str) -> Package:
        """One registered version, by its name."""
        with explained(f"reading {name}"):
            found = self.versions.get(name)
        if found is None:
            raise OperatorError(f"reading {name}: no such version is registered")
        return package_of(found)

    def signers(self, digest: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed a package; nothing is verified."""
        with explained(f"looking for {digest}"):
            return self.store.signers(self._archive(digest))

    def evidence(self, digest: str, key: bytes) -> Evidence:
        """What was signed with a key of a package; `verify` it before anything of it is believed.

        Raises:
            SignatureError: What names the documents is not signed with the key.
        """
        with _reading(f"reading the signatures of {digest}"):
            return self.store.evidence(self._archive(digest), key)

    def fetch(self, digest: str, to: Path) -> None:
        """Write an archive into a file, which appears only if the bytes have the digest."""
        with _reading(f"reading {digest}"):
            self.store.fetch(self._archive(digest), digest, to)

    def verified(self, digest: str, image: str, key: bytes) -> str:
        """Where the archive of a past release is, once it was verified, and its image was looked for.

        Raises:
            Gone: One of them is not there any more.
            SignatureError: The archive is not what was signed.
        """
        with _reading(f"looking at the package {digest}"):
            return verify_past(self.store, self._places(digest), digest, image, key)

    def restoring(self, digest: str) -> str:
        """How a package whose bytes were changed is restored, in a sentence."""
        return self.store.restoring(self._archive(digest))

    def _archive(self, digest: str) -> str:
        """Where the archive of a package is, or would be."""
        places = self._places(digest) if self.state else ()
        return next((uri for uri in places if self.store.has(uri)), self.store.uri(digest))

    def _places(self, digest: str) -> Iterator[str]:
        """Where an archive may be: where packages go now and, if it is not there, where registry and journal say.

        A stack that was moved from a registry to a bucket, or back, leaves its packages where they are.
        """
        own = self.store.uri(digest)
        yield own
        if self.state is None:
            return
        with explained(f"looking where {digest} was put"):
            named = [one.archive_uri for one in self.versions.list(digest) if one.package_digest == digest]
            named += [one.archive_uri for one in self.state().releases() if one.package_digest == digest]
        yield from (one for one in dict.fromkeys(named) if one and one != own)


def newest(versions: Versions, limit: int) -> list[Package]:
    """The newest versions of a registry, the newest first.

    Raises:
        OperatorError: It cannot be read.
    """
    with explained("reading the registered packages"):
        return [package_of(one) for one in islice(versions.list(), limit)]


@contextmanager
def _reading(doing: str) -> Generator[None]:
    """Tell a store that does not answer, or lets nobody read, from one that has something else than was put there."""
    try:
        with explained(doing):
            yield
    except OperatorError as error:
        cause = error.__cause__
        if isinstance(cause, RegistryError) and not isinstance(cause, Unreachable):
            raise cause from None
        raise
