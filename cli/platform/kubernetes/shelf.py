"""The packages of a stack on a cluster: in a registry of images, and as ModelPackages."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.errors import OperatorError, explained
from cli.platform.facts import Package
from cli.platform.kubernetes import packages
from cli.target import Target
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.names import PACKAGES
from platforms.kubernetes.oci_connection import OciUnreachable
from platforms.kubernetes.publish import store_of
from provenance.evidence import Evidence


@dataclass(frozen=True)
class RegistryShelf:
    """`Shelf` over a registry and an API server. The registry's login is that of the docker config."""

    target: Target
    api: Api

    def digests(self) -> Mapping[str, str]:
        """By NAMESPACE/NAME of the ModelPackages."""
        with explained(f"reading the packages of {self.target.endpoint}"):
            found = packages.all_of(self.api, self.target.endpoint)
        return {one.name: one.view.digest for one in found if one.view.digest}

    def package(self, name: str) -> Package:
        """See `Shelf`."""
        with explained(f"reading ModelPackage {name}"):
            return packages.package(self.api.get(PACKAGE, name.partition("/")[2]), 0)

    def archive_of(self, digest: str) -> str:
        """See `Shelf`."""
        return f"oci://{self.target.output('registry')}/{PACKAGES}@{digest}"

    def signers(self, digest: str) -> list[str]:
        """See `Shelf`."""
        archive = self.archive_of(digest)
        with explained(f"looking for {digest}"):
            return store_of(archive).signers(archive)

    def evidence(self, archive: str, key: bytes) -> Evidence:
        """See `Shelf`."""
        with _reached(f"reading the signatures of {archive}"):
            return store_of(archive).said(archive, key)

    def fetch(self, digest: str, to: Path) -> None:
        """See `Shelf`."""
        archive = self.archive_of(digest)
        store_of(archive).fetch(archive, digest, to)

    def kept(self, digest: str, image: str, key: bytes) -> str:
        """See `Shelf`."""
        from platforms.kubernetes.archives import kept  # noqa: PLC0415 - it loads numpy, and only this needs it

        with _reached(f"looking at the package {digest}"):
            return kept(self.archive_of(digest), digest, image, key)

    def mending(self, digest: str) -> str:
        """By whatever the registry is kept safe with."""
        return (
            f"The registry keeps bytes under their digests. Bring back what lay at {self.archive_of(digest)} from the "
            "registry's own backup."
        )


@contextmanager
def _reached(doing: str) -> Generator[None]:
    """Tell a registry that does not answer from one that has something else than was put there."""
    try:
        yield
    except OciUnreachable as error:
        raise OperatorError(f"{doing}: {error}") from error
