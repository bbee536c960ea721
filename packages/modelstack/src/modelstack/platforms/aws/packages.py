"""Reads single members of a sealed package next to its archive, verified by their digests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelstack.services.sealed_packages import Sealed, manifest_of, member_of, member_uri

if TYPE_CHECKING:  # the program takes only names from here, and needs no boto3
    from modelstack.platforms.aws.clients import Clients


def member(clients: Clients, release: Sealed, name: str) -> bytes | None:
    """One member of a release's package, see `member_of`."""
    return member_of(release, name, _reader(clients, release))


def manifest(clients: Clients, release: Sealed) -> bytes:
    """The manifest of a release's package, see `manifest_of`."""
    return manifest_of(release, _reader(clients, release))


def _reader(clients: Clients, release: Sealed) -> Callable[[str, str], bytes]:
    def read(name: str, _: str) -> bytes:
        place = urlsplit(member_uri(release.archive_uri, name))
        return clients("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()

    return read
