"""Names, addresses and verification of the members of a sealed package, for every registry.

The members are the JSON files at the top of an archive; a registry also stores them next to it, to read them without
the weights. The release has the sha256 of the manifest, the manifest that of every member; both are checked before
anything is parsed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Protocol

from modelstack.rollout.core.errors import RolloutError

MANIFEST = "manifest.json"
"""Lists the sha256 of every member."""
REFERENCE = "reference.json"
"""What the model was trained on, for drift."""
FORM = "answer.json"
"""The form of its predictions."""
BASELINE = "baseline.json"
"""How good it was when it was evaluated."""
METRICS = "metrics.json"
"""What its evaluation measured."""

REGISTERED_BY, TRAINED_BY, PROMOTED_FROM = "registered_by", "trained_by", "promoted_from"
"""Keys of a version's metadata: who registered it, who made the original of a copy, and which one that was."""


PACKAGES = "packages"
"""The folder of all packages in a bucket."""


class RegistryError(Exception):
    """Bytes in the registry do not match their name, or a package cannot be found; nothing was registered."""


class Gone(Exception):
    """A part of a past release no longer exists; the message says why, and what can be done."""


class Unsigned(RegistryError):
    """A package was not signed with the trusted key; the message says what to do."""


class DigestMismatch(RolloutError):
    """The bytes of a member are not those that were sealed; nothing in it is read."""


class Sealed(Protocol):
    """The location and the digest of a sealed package, as a release has them."""

    @property
    def archive_uri(self) -> str:
        """`s3://bucket/key`, or `oci://HOST[:PORT]/REPOSITORY@sha256:<hex>`."""

    @property
    def manifest_sha256(self) -> str:
        """The sha256 of its manifest, hex."""


def folder_of(package_digest: str) -> str:
    """The folder of a package in a bucket, by its digest `sha256:<hex>`."""
    return f"{PACKAGES}/{package_digest.removeprefix('sha256:')}"


def member_uri(archive_uri: str, name: str) -> str:
    """The URI of a member next to its archive, in a bucket."""
    return f"{archive_uri.rpartition('/')[0]}/{name}"


def member_of(release: Sealed, name: str, read: Callable[[str, str], bytes]) -> bytes | None:
    """One verified member of a release's package; None if its manifest lists none of that name.

    `read` fetches a member by its name and its sha256, hex. Raises `DigestMismatch`, naming the URI, if the manifest is
    not the release's or the member not the manifest's.
    """
    expected = json.loads(manifest_of(release, read))["files"].get(name)
    return None if expected is None else _verified(release, name, expected, read)


def manifest_of(release: Sealed, read: Callable[[str, str], bytes]) -> bytes:
    """The verified manifest of a release's package; arguments and errors as of `member_of`."""
    return _verified(release, MANIFEST, release.manifest_sha256, read)


def _verified(release: Sealed, name: str, expected: str, read: Callable[[str, str], bytes]) -> bytes:
    content = read(name, expected)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        uri = member_uri(release.archive_uri, name)
        raise DigestMismatch(f"{uri}: got sha256:{found}, expected sha256:{expected}; nothing in it was read")
    return content
