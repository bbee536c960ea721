"""What the commands ask of where sealed packages lie: what is registered, what was signed of it, and the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cli.platform.facts import Package
from provenance.evidence import Evidence


class Shelf(Protocol):
    """Where the packages of one stack lie.

    Everything raises OperatorError where the platform does not answer, and RegistryError where bytes are not what
    their name says.
    """

    def digests(self) -> Mapping[str, str]:
        """Name -> package digest of every registered version, the newest first."""
        ...

    def package(self, name: str) -> Package:
        """One registered version, by its name."""
        ...

    def signers(self, digest: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed a package; nothing is verified."""
        ...

    def evidence(self, digest: str, key: bytes) -> Evidence:
        """What was signed with a key of a package; `verify` it before anything of it is believed.

        Raises:
            SignatureError: What names the documents is not signed with the key.
        """
        ...

    def fetch(self, digest: str, to: Path) -> None:
        """Write an archive into a file, which appears only if the bytes have the digest."""
        ...

    def kept(self, digest: str, image: str, key: bytes) -> str:
        """Where the archive of a past release lies, once it was verified, and its image was looked for.

        Raises:
            Gone: One of them is not there any more.
            SignatureError: The archive is not what was signed.
        """
        ...

    def mending(self, digest: str) -> str:
        """How a package whose bytes were changed is brought back, in a sentence."""
        ...
