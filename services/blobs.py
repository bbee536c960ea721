"""Lists blobs of any number."""

from __future__ import annotations

from collections.abc import Iterator

from services.ports import Blobs


def names(blobs: Blobs, prefix: str, after: str = "") -> Iterator[str]:
    """All names with a prefix that sort after a name, in order."""
    while found := blobs.list(prefix, after):
        yield from found
        after = found[-1]
