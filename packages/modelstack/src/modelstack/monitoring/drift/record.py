"""The durable record of a variant's drift: which captures were counted, and their state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from modelstack.monitoring.measurements import Datum


@dataclass(frozen=True)
class Reading:
    """The durable record of one variant: its revision, the last counted file key, and `as_dict` of its `DriftMonitor`.

    The key is empty before the first file, the state None before the first row.
    """

    revision: int = 0
    after: str = ""
    state: Mapping[str, Any] | None = None


class Record(Protocol):
    """Stores the readings, and which files were counted; a write succeeds only on the revision that was read."""

    def read(self, variant: str) -> Reading:
        """The reading of a variant, or an empty one."""

    def counted(self, keys: Collection[str]) -> set[str]:
        """Those of the given files that were counted."""

    def write(
        self, variant: str, reading: Reading, files: Collection[str], unsent: tuple[Datum, ...], begun: int = 0
    ) -> Reading | None:
        """Store the successor of a revision, its counted files and its unsent metrics, all or nothing.

        `begun` is the number that `begins` continues from. Returns what was stored; None if another writer was first.
        """

    def begins(self, variant: str) -> int:
        """Record the start of reading a variant's files; returns the number of such calls since the last `write`.

        Calls that `failed` do not count. All but this one were cut off, or are still running.
        """

    def failed(self, variant: str) -> None:
        """Record that the call that `begins` counted ended with an error, so it was not cut off."""

    def sent(self, variant: str, revision: int) -> None:
        """Record that a revision's metrics were sent. This is no revision, and repeating it changes nothing."""

    def unsent(self, variant: str, before: float) -> Iterable[tuple[int, Sequence[Datum]]]:
        """Revisions with metrics from before this time that were not sent."""


def newest_day(reading: Reading) -> date | None:
    """The day, UTC, of the newest rows by request time, which a replay moves back; None before the first row."""
    newest = (reading.state or {}).get("open", {}).get("since")
    return None if newest is None else datetime.fromtimestamp(newest, UTC).date()
