"""Reads single members of a sealed package, wherever it lies, and believes nothing but digests.

    content = member(release, REFERENCE)               # bytes; None when the package has none

In a registry of images a member is a blob, whose digest is the sha256 that the manifest names: no list of anything is
asked for. The archive, with the model's weights, is never fetched for that.
"""

from __future__ import annotations

from contextlib import closing

from platforms.kubernetes.oci import Registry
from platforms.sealed_packages import BASELINE, FORM, MANIFEST, METRICS, REFERENCE, Sealed, member_of
from rollout.core.errors import RolloutError
from serving.registry_protocol import SCHEME, Blob, ProtocolError

__all__ = ["BASELINE", "FORM", "MANIFEST", "METRICS", "REFERENCE", "Sealed", "member"]


def member(release: Sealed, name: str) -> bytes | None:
    """One member of a release's package; None when its manifest lists none of that name.

    Raises:
        Unreachable: The registry does not answer; the same call later may succeed.
        RolloutError: It refuses, or has other bytes than were sealed; the message names them.
    """
    if not release.archive_uri.startswith(SCHEME):
        return _in_bucket(release, name)
    try:
        blob = Blob.parse(release.archive_uri)
    except ProtocolError as error:
        raise RolloutError(str(error)) from None
    with closing(Registry.of(f"{blob.registry}/{blob.repository}")) as registry:
        return member_of(release, name, lambda _, sha256: registry.read(f"sha256:{sha256}"))


def _in_bucket(release: Sealed, name: str) -> bytes | None:
    try:
        from platforms.aws import clients, packages  # noqa: PLC0415  not every image has AWS's client
    except ModuleNotFoundError as error:
        raise RolloutError(f"cannot read {release.archive_uri}: {error.name} is not installed here") from None
    try:
        with clients.calling(f"read {name} beside {release.archive_uri}"):
            return packages.member(clients.clients(None), release, name)
    except packages.DigestMismatch as error:
        raise RolloutError(str(error)) from None
