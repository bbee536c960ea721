"""Is the package of a past release still there, is it what was signed, and is its image there?

    uri = kept(store, [store.uri(digest)], digest, image, signed_by)      # raises Gone

Nothing here deletes a package. A registry may collect what no tag names, so a package has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from platforms.kubernetes.oci import OciError, Registry
from platforms.kubernetes.stores import StackStore
from platforms.registering import ReleaseRecord, check
from platforms.sealed_packages import Gone


def kept(store: StackStore, archive_uris: Iterable[str], package_digest: str, image: str, signed_by: bytes) -> str:
    """Return where the archive of a past release lies, once it was verified.

    Args:
        store: Of the stack.
        archive_uris: Where it may lie; the first is where the stack puts packages now.
        package_digest: `sha256:<hex>`.
        image: What served it.
        signed_by: The public key of the stack, PEM.

    Raises:
        Gone: The archive or the image is not there.
        SignatureError: The archive is not what was signed.
        RegistryError: It has another digest, or is not signed.
        Unreachable: The registry or the bucket does not answer, or the bucket lets nobody read.
    """
    uri = store.found(archive_uris)
    _check_image(image)
    check(ReleaseRecord(uri, package_digest, "", signed_by), store)
    return uri


def _check_image(image: str) -> None:
    """See that a serving image is still in its repository; of one that may not be looked at, the trial tells."""
    place, _, digest = image.partition("@")
    if not digest:
        return
    with suppress(OciError):
        if Registry.of(place).manifest(digest) is None:
            raise Gone(f"the serving image {image} is gone: no rule of modelstack deletes images")
