"""Reads single members of a sealed package and verifies their digests.

In an image registry a member is a blob, addressed by the sha256 in the manifest. The archive with the weights is never
fetched for it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable

from modelstack.platforms.kubernetes.oci import OciRepository
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.services.sealed_packages import Sealed, manifest_of, member_of, member_uri
from modelstack.serving.download import PAUSES, BucketSource, DownloadError, download
from modelstack.serving.registry_protocol import SCHEME, Blob, ProtocolError

_MOST_BYTES = 256 << 20


def manifest(release: Sealed) -> bytes:
    """The manifest of a release's package; raises as `member`."""
    return manifest_of(release, _reader(release))


def member(release: Sealed, name: str) -> bytes | None:
    """One member of a release's package; None if its manifest does not list it.

    Raises Unreachable to retry later, and another RolloutError if it is refused or does not match the sealed digest.
    """
    return member_of(release, name, _reader(release))


def _reader(release: Sealed) -> Callable[[str, str], bytes]:
    if not release.archive_uri.startswith(SCHEME):
        return lambda name, _: _in_bucket(member_uri(release.archive_uri, name))
    try:
        blob = Blob.parse(release.archive_uri)
    except ProtocolError as error:
        raise RolloutError(str(error)) from None
    registry = OciRepository.of(f"{blob.registry}/{blob.repository}")
    return lambda _, sha256: registry.read(f"sha256:{sha256}")


def _in_bucket(uri: str) -> bytes:
    """An object, by the credentials of this process's environment, see `modelstack.serving.fetch`."""
    content = io.BytesIO()
    try:
        # The caller tries again later, so nothing waits here.
        download(BucketSource.of(uri, os.environ), content, limit=_MOST_BYTES, pauses=(0.0,) * len(PAUSES))
    except DownloadError as error:
        raise Unreachable(str(error)) from None
    except ProtocolError as error:
        raise RolloutError(str(error)) from None
    return content.getvalue()
