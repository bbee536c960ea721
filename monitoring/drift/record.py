"""What is kept of a variant's drift: which of its captures were counted, and what they held.

newest_day(record.read(variant))    # date(2013, 4, 17): the requests that were counted last are about that day
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from monitoring.measurements import Datum


@dataclass(frozen=True)
class Reading:
    """The durable record of one variant.

    Attributes:
        revision: Counts the writes.
        after: The last key, in their order, of the files that were counted; empty before the first.
        state: `as_dict` of its `DriftMonitor`; None before the first row.
    """

    revision: int = 0
    after: str = ""
    state: Mapping[str, Any] | None = None


class Record(Protocol):
    """Keeps the readings, and which files were counted; a write lands only on the revision that was read."""

    def read(self, variant: str) -> Reading:
        """The reading of a variant, or an empty one."""
        ...

    def counted(self, keys: Collection[str]) -> set[str]:
        """Those of some files that were counted."""
        ...

    def write(
        self, variant: str, reading: Reading, files: Collection[str], unsent: tuple[Datum, ...], begun: int = 0
    ) -> Reading | None:
        """Store the successor of a revision, which files it has counted and what is to be sent: all of it or nothing.

        Args:
            variant: Whose reading.
            reading: The one that was read, with what is new of it.
            files: The files that were counted.
            unsent: The metrics that are to be sent.
            begun: What `begins` counts on from.

        Returns:
            What was stored; None when another writer was first.
        """
        ...

    def begins(self, variant: str) -> int:
        """Note that files of a variant are about to be read.

        Returns:
            How often that was noted, this time included, since the last `write`, without those that `failed`. All of
            these calls but this one were cut off, or are still at work.
        """
        ...

    def failed(self, variant: str) -> None:
        """Note that what `begins` noted has ended with an error: it was not cut off."""
        ...

    def sent(self, variant: str, revision: int) -> None:
        """Note that what a revision had to send is sent. This is no revision, and a second time changes nothing."""
        ...

    def unsent(self, variant: str, before: float) -> Iterable[tuple[int, Sequence[Datum]]]:
        """What revisions had to send that was not sent, of a time before this one, with these revisions."""
        ...


def newest_day(reading: Reading) -> date | None:
    """The day, UTC, that the newest rows are about; None before the first row.

    Newest in the time of the requests, whatever the day on which they were counted. A replay of the past that begins
    again begins with an earlier day, as its rows are newer than those before it.
    """
    newest = (reading.state or {}).get("open", {}).get("since")
    return None if newest is None else datetime.fromtimestamp(newest, UTC).date()
