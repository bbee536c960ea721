"""What every registry of sealed packages has, wherever it is: names of members, and what is said when one is not right.

The members of a package are the JSON files at the top of its archive. A registry keeps each beside the archive too, so
that one is read without the weights. The release names the sha256 of the manifest, and the manifest that of every
member: both are checked before anything of them is parsed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Protocol

from rollout.core.errors import RolloutError

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
"""What is kept with a version: who registered it, who made the one that it was copied from, and which one that was."""


PACKAGES = "packages"
"""The folder of a bucket for all of them."""


class RegistryError(Exception):
    """Bytes in the registry are not what their name says, or a package cannot be found; nothing was registered."""


class Gone(Exception):
    """What a past release needs is not there any more; the message says why, and what may still be done."""


class Unsigned(RegistryError):
    """A package was not signed with the key that is trusted; the message says what to do."""


class DigestMismatch(RolloutError):
    """The bytes of a member are not those that were sealed: nothing in it is read."""


class Sealed(Protocol):
    """Where a sealed package lies, and what proves it: as a release has both."""

    @property
    def archive_uri(self) -> str:
        """`s3://bucket/key`, or `oci://HOST[:PORT]/REPOSITORY@sha256:<hex>`."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """Of its manifest, hex."""
        ...


def folder_of(package_digest: str) -> str:
    """The folder of a bucket for one package, by its digest `sha256:<hex>`."""
    return f"{PACKAGES}/{package_digest.removeprefix('sha256:')}"


def member_uri(archive_uri: str, name: str) -> str:
    """Where a member is that is next to its archive, in a bucket."""
    return f"{archive_uri.rpartition('/')[0]}/{name}"


def member_of(release: Sealed, name: str, read: Callable[[str, str], bytes]) -> bytes | None:
    """One member of a release's package; None when its manifest lists none of that name.

    Args:
        release: The release.
        name: The member's name.
        read: Fetches a member by its name and the sha256 that it must have, hex. The bytes are verified here.

    Raises:
        DigestMismatch: The manifest is not the release's, or the member not the manifest's; the message names the URI.
    """
    expected = json.loads(manifest_of(release, read))["files"].get(name)
    return None if expected is None else _verified(release, name, expected, read)


def manifest_of(release: Sealed, read: Callable[[str, str], bytes]) -> bytes:
    """The manifest of a release's package; arguments and errors as of `member_of`."""
    return _verified(release, MANIFEST, release.manifest_sha256, read)


def _verified(release: Sealed, name: str, expected: str, read: Callable[[str, str], bytes]) -> bytes:
    content = read(name, expected)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        uri = member_uri(release.archive_uri, name)
        raise DigestMismatch(f"{uri}: got sha256:{found}, expected sha256:{expected}; nothing in it was read")
    return content
