"""Finds the release whose instance did not start, in the platform's message."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelstack.rollout.core.release import Release


def at_fault(words: str, releases: Iterable[Release]) -> Release | None:
    """The release that a platform's failure message names first; None if it names none, or an archive that two share.

    A platform names the variant when a container fails its health check, and the archive's address when it cannot fetch
    or extract it. The container's own output may follow, so only the first name counts.
    """
    owners: dict[str, list[Release]] = {}
    for release in releases:
        for name in (release.variant, release.archive_uri):
            owners.setdefault(name, []).append(release)
    named = re.search(rf"(?<![\w-])(?:{'|'.join(map(re.escape, owners))})(?![\w-])", words)
    found = owners[named[0]] if named else []
    return found[0] if len(found) == 1 else None
