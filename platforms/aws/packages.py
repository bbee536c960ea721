"""Reads single members of a sealed package, which lie beside its archive, and believes nothing but digests.

    content = member(clients, release, REFERENCE)      # bytes; None when the package has none

The release names the sha256 of the manifest, and the manifest that of every member. Both are checked before anything of
them is parsed. The archive, with the model's weights, is never fetched for that.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rollout.core.errors import RolloutError
from services.sealed_packages import (
    BASELINE,
    FORM,
    MANIFEST,
    METRICS,
    REFERENCE,
    Sealed,
    member_of,
    member_uri,
)

if TYPE_CHECKING:  # the program takes only names from here, and needs no boto3
    from platforms.aws.clients import Clients

__all__ = [
    "BASELINE",
    "FORM",
    "MANIFEST",
    "METRICS",
    "REFERENCE",
    "DigestMismatch",
    "Sealed",
    "member",
    "proven",
]


class DigestMismatch(RolloutError):
    """The bytes of a member are not those that were sealed: nothing in it is read."""


def member(clients: Clients, release: Sealed, name: str) -> bytes | None:
    """One member of a release's package; None when its manifest lists none of that name.

    Raises:
        DigestMismatch: The manifest is not the release's, or the member not the manifest's; the message names the key.
    """
    return member_of(release, name, lambda name, expected: proven(clients, release, name, expected))


def proven(clients: Clients, release: Sealed, name: str, expected: str) -> bytes:
    """One file beside an archive, which has this sha256, hex; raises as `member`."""
    uri = member_uri(release.archive_uri, name)
    place = urlsplit(uri)
    answer: Any = clients("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    content: bytes = answer["Body"].read()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DigestMismatch(f"{uri}: got sha256:{found}, expected sha256:{expected}; nothing in it was read")
    return content
