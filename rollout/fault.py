"""Whose instance did not come up? Read from the platform's own words; a pure function.

at_fault("The primary container for production variant v-3f2a did not pass the ping health check.", releases)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rollout.release import Release


def at_fault(words: str, releases: Iterable[Release]) -> Release | None:
    """The release that a platform's reason for a failure names first.

    SageMaker names the production variant when a container does not answer its health check, and the archive's address
    when it cannot fetch or extract it. What a container said itself may follow, so only the first name counts.

    Args:
        words: The reason.
        releases: The releases that were to come up; of two by the same name, the earlier.

    Returns:
        The release, or None when the words name none: no capacity, no image, no reason at all.
    """
    places = [(place, release) for release in releases if (place := _place(words, release)) is not None]
    return min(places, key=lambda found: found[0])[1] if places else None


def _place(words: str, release: Release) -> int | None:
    """Where the words first name a release, by its variant or its archive."""
    names = "|".join(re.escape(name) for name in (release.variant, release.archive_uri))
    found = re.search(rf"(?<![\w-])(?:{names})(?![\w-])", words)
    return found.start() if found else None
