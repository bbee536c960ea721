"""Is the package of a past release still in the registry, is it what was signed, and is its image there?

    uri = kept("oci://registry.example.org/models/packages@sha256:...", digest, image, signed_by)      # raises Gone

Nothing here deletes a package. A registry may collect what no tag names, so a package has one.
"""

from __future__ import annotations

from contextlib import suppress

from platforms.kubernetes.oci import Registry
from platforms.kubernetes.oci_connection import OciError
from platforms.kubernetes.publish import store_of
from platforms.registering import ReleaseRecord, check
from platforms.sealed_packages import Gone


def kept(archive_uri: str, package_digest: str, image: str, signed_by: bytes) -> str:
    """Return where the archive of a past release lies, once it was verified.

    Args:
        archive_uri: Where it was put.
        package_digest: `sha256:<hex>`.
        image: What served it.
        signed_by: The public key of the stack, PEM.

    Raises:
        Gone: The archive or the image is not there.
        SignatureError: The archive is not what was signed.
        RegistryError: It has another digest, or is not signed.
        OciUnreachable: The registry does not answer.
    """
    store = store_of(archive_uri)
    if not store.registry.holds(package_digest):
        raise Gone(f"{archive_uri} is gone. No rule of modelstack deletes a package, so the registry or somebody did")
    _check_image(image)
    check(ReleaseRecord(archive_uri, package_digest, "", signed_by), store)
    return archive_uri


def _check_image(image: str) -> None:
    """See that a serving image is still in its repository; of one that may not be looked at, the trial tells."""
    place, _, digest = image.partition("@")
    if not digest:
        return
    with suppress(OciError):
        if Registry.of(place).manifest(digest) is None:
            raise Gone(f"the serving image {image} is gone: no rule of modelstack deletes images")
