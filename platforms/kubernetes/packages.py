"""Reads single members of a sealed package, wherever it lies, and believes nothing but digests.

    content = member(release, REFERENCE)               # bytes; None when the package has none

In a registry of images a member is a blob, whose digest is the sha256 that the manifest names: no list of anything is
asked for. The archive, with the model's weights, is never fetched for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from platforms.kubernetes.oci import Registry
from platforms.sealed_packages import BASELINE, FORM, MANIFEST, METRICS, REFERENCE, Sealed, member_of
from rollout.core.errors import RolloutError, Unreachable
from serving.download import BucketSource, DownloadError, download
from serving.registry_protocol import SCHEME, Blob, ProtocolError

__all__ = ["BASELINE", "FORM", "MANIFEST", "METRICS", "REFERENCE", "Sealed", "member"]

_MOST_BYTES = 256 << 20


def manifest(release: Sealed) -> bytes:
    """The manifest of a release's package; raises as `member`."""
    with _proving(release) as proven:
        return proven(MANIFEST, release.manifest_sha256)


def member(release: Sealed, name: str) -> bytes | None:
    """One member of a release's package; None when its manifest lists none of that name.

    Raises:
        Unreachable: The registry or the bucket does not answer, or gives nothing; the same call later may succeed.
        RolloutError: It refuses, or has other bytes than were sealed; the message names them.
    """
    with _proving(release) as proven:
        return member_of(release, name, proven)


@contextmanager
def _proving(release: Sealed) -> Generator[Callable[[str, str], bytes]]:
    """Gives a member of a package by its name and the sha256 that it must have."""
    if not release.archive_uri.startswith(SCHEME):
        yield lambda member, sha256: _in_bucket(release.archive_uri, member, sha256)
        return
    try:
        blob = Blob.parse(release.archive_uri)
    except ProtocolError as error:
        raise RolloutError(str(error)) from None
    with closing(Registry.of(f"{blob.registry}/{blob.repository}")) as registry:
        yield lambda _, sha256: registry.read(f"sha256:{sha256}")


def _in_bucket(archive_uri: str, name: str, expected: str) -> bytes:
    """A member that lies beside its archive, with the keys of this process's environment, see `serving.fetch`."""
    uri = f"{archive_uri.rpartition('/')[0]}/{name}"
    with TemporaryDirectory() as folder:
        path = Path(folder, "member")
        try:
            source = BucketSource.of(uri, os.environ)
            # Whoever asks does so again later, so nobody waits here.
            found = download(source, path, limit=_MOST_BYTES, say=lambda _: None, sleep=lambda _: None)
        except DownloadError as error:
            raise Unreachable(str(error)) from None
        except ProtocolError as error:
            raise RolloutError(str(error)) from None
        if found != expected:
            raise RolloutError(f"{uri}: got sha256:{found}, expected sha256:{expected}; nothing in it was read")
        return path.read_bytes()
