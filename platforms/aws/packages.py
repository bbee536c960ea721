"""Reads single members of a sealed package, which lie beside its archive, and believes nothing but digests.

    content = member(clients, release, REFERENCE)      # bytes; None when the package has none

The release names the sha256 of the manifest, and the manifest that of every member. Both are checked before anything of
them is parsed. The archive, with the model's weights, is never fetched for that.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:  # the program takes only names from here, and needs no boto3
    from platforms.aws.clients import Clients

PACKAGES = "packages"
"""The folder of the bucket for all of them."""
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


class DigestMismatch(Exception):
    """The bytes of a member are not those that were sealed: nothing in it is read."""


def folder_of(package_digest: str) -> str:
    """The folder of the bucket for one package, by its digest `sha256:<hex>`."""
    return f"{PACKAGES}/{package_digest.removeprefix('sha256:')}"


def beside(archive_uri: str, name: str) -> str:
    """Where a member of an archive lies by itself: under the same name of the package."""
    return f"{archive_uri.rpartition('/')[0]}/{name}"


class Sealed(Protocol):
    """Where a sealed package lies, and what proves it: as a release has both."""

    @property
    def archive_uri(self) -> str:
        """`s3://bucket/key`."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """Of its manifest, hex."""
        ...


def member(clients: Clients, release: Sealed, name: str) -> bytes | None:
    """One member of a release's package; None when its manifest lists none of that name.

    Raises:
        DigestMismatch: The manifest is not the release's, or the member not the manifest's; the message names the key.
    """
    manifest = _proven(clients, release, MANIFEST, release.manifest_sha256)
    expected = json.loads(manifest)["files"].get(name)
    return None if expected is None else _proven(clients, release, name, expected)


def _proven(clients: Clients, release: Sealed, name: str, expected: str) -> bytes:
    uri = beside(release.archive_uri, name)
    place = urlsplit(uri)
    answer: Any = clients("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    content: bytes = answer["Body"].read()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DigestMismatch(f"{uri}: got sha256:{found}, expected sha256:{expected}; nothing in it was read")
    return content
