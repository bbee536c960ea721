"""The packages of a stack on a cluster: in a registry of images or a bucket, and as ModelPackages."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cli.errors import OperatorError, explained
from cli.platform.facts import Package
from cli.platform.kubernetes import packages
from cli.target import Target
from platforms.kubernetes.api import Api
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.stores import StackStore
from platforms.sealed_packages import Gone
from provenance.evidence import Evidence
from rollout.core.errors import Unreachable


@dataclass(frozen=True)
class ClusterShelf:
    """`Shelf` over the store of a stack and an API server.

    The registry's login is that of the docker config; the bucket's keys are those that AWS's clients find.
    """

    target: Target
    api: Api

    @cached_property
    def store(self) -> StackStore:
        """The stack's, by its outputs."""
        return StackStore(self.target.output("registry"), self.target.outputs.get("bucket"))

    def digests(self) -> Mapping[str, str]:
        """By NAMESPACE/NAME of the ModelPackages."""
        with explained(f"reading the packages of {self.target.endpoint}"):
            found = packages.all_of(self.api, self.target.endpoint)
        return {one.name: one.view.digest for one in found if one.view.digest}

    def package(self, name: str) -> Package:
        """See `Shelf`."""
        with explained(f"reading ModelPackage {name}"):
            return packages.package(self.api.get(PACKAGE, name.partition("/")[2]), 0)

    def signers(self, digest: str) -> list[str]:
        """See `Shelf`."""
        with explained(f"looking for {digest}"):
            return self.store.signers(self._archive(digest))

    def evidence(self, digest: str, key: bytes) -> Evidence:
        """See `Shelf`."""
        with _reached(f"reading the signatures of {digest}"):
            return self.store.said(self._archive(digest), key)

    def fetch(self, digest: str, to: Path) -> None:
        """See `Shelf`."""
        self.store.fetch(self._archive(digest), digest, to)

    def kept(self, digest: str, image: str, key: bytes) -> str:
        """See `Shelf`."""
        from platforms.kubernetes.archives import kept  # noqa: PLC0415 - it loads numpy, and only this needs it

        with _reached(f"looking at the package {digest}"):
            return kept(self.store, self._places(digest), digest, image, key)

    def mending(self, digest: str) -> str:
        """By whatever the registry or the bucket is kept safe with."""
        return self.store.mending(self._archive(digest))

    def _archive(self, digest: str) -> str:
        """Where the archive of a package lies, or would."""
        try:
            return self.store.found(self._places(digest))
        except Gone:
            return self.store.uri(digest)

    def _places(self, digest: str) -> Iterator[str]:
        """Where an archive may lie: where packages go now and, if it is not there, where it was put by what is written.

        A stack that was moved from a registry to a bucket, or back, leaves its packages where they are.
        """
        own = self.store.uri(digest)
        yield own
        with explained(f"looking where {digest} was put"):
            listed = packages.all_of(self.api, self.target.endpoint)
            state = KubernetesJournal(self.api, self.target.endpoint).read()
        told = [one.archive for one in listed if one.view.digest == digest]
        told += [one.archive_uri for one in state.releases() if one.package_digest == digest]
        yield from (one for one in dict.fromkeys(told) if one and one != own)


@contextmanager
def _reached(doing: str) -> Generator[None]:
    """Tell what does not answer, or lets nobody read, from what has something else than was put there."""
    try:
        yield
    except Unreachable as error:
        raise OperatorError(f"{doing}: {error}") from error
