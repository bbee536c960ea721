"""Whose instance did not come up? Read from the platform's own words; a pure function.

at_fault("The primary container for production variant v-3f2a did not pass the ping health check.", releases)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rollout.core.release import Release


def at_fault(words: str, releases: Iterable[Release]) -> Release | None:
    """The release that a platform's reason for a failure names first.

    A platform names the variant when a container does not answer its health check, and the archive's address
    when it
    cannot fetch or extract it. What a container said itself may follow, so only the first name counts.

    Args:
        words: The reason.
        releases: The releases that were to come up. A name that several have, as one archive in two images, tells of
            none of them.

    Returns:
        The release, or None when the words name none: no capacity, no image, no reason at all.
    """
    owners: dict[str, list[Release]] = {}
    for release in releases:
        for name in (release.variant, release.archive_uri):
            owners.setdefault(name, []).append(release)
    named = re.search(rf"(?<![\w-])(?:{'|'.join(map(re.escape, owners))})(?![\w-])", words)
    found = owners[named[0]] if named else []
    return found[0] if len(found) == 1 else None
