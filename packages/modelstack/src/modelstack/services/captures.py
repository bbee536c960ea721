"""Captured exchanges in blobs: files by hour, under `<folder><variant>/yyyy/mm/dd/hh/`, as SageMaker writes them.

    captures.keys("v-a", after="", most=20)        # the next files, oldest first
    captures.search("order-17", Window(since))     # the predictions with an id, the newest hour first

Captures in a database are read by SQL instead, see `modelstack.platforms.kubernetes.captures`.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from modelstack.monitoring.captured import Malformed, Recorded
from modelstack.monitoring.exchanges import traffic
from modelstack.monitoring.predictions import Search, Searched, Window, blocks
from modelstack.services.ports import MOST, Blobs, names
from modelstack.services.replay import HOURS, Exchange, newest

if TYPE_CHECKING:  # it loads statistics
    from modelstack.monitoring.labels.pairs import Aside

_AT_ONCE = 10  # files that a search reads at once
_DAY = timedelta(days=1)
_AFTER_SLASH = "0"  # the character after "/": `a0` sorts after all of `a/`, and before what sorts after that


@dataclass(frozen=True)
class CaptureFiles:
    """The capture files of one endpoint.

    Attributes:
        folder: Prefix of their names, such as `capture/flights/`.
        since: The hour from which on `recent` lists files, epoch seconds.
        rejected: Stores unreadable lines under the name of their file, without its first folder.
        uri: The folder as people are shown it; empty for its name.
        may_hold: The files that a search for a word must read, of at most `ports.MOST`, see
        `modelstack.services.ledger`.
    """

    blobs: Blobs
    folder: str
    since: float = 0.0
    rejected: Aside | None = None
    uri: str = ""
    may_hold: Callable[[str, Sequence[str]], Sequence[str]] = lambda _word, files: files

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        """The next files, oldest first; at most `most`."""
        return self.blobs.list(f"{self.folder}{variant}/", after, most)

    def recent(self, variant: str, until: str) -> Sequence[str]:
        """The files since `self.since` up to one."""
        prefix = f"{self.folder}{variant}/"
        return list(
            takewhile(lambda key: key <= until, names(self.blobs, prefix, f"{prefix}{_hour(self.since):%Y/%m/%d/%H}/"))
        )

    def exchanges(self, key: str) -> Iterator[tuple[bytes, Recorded | Malformed]]:
        """The exchanges of one file, each with its line; `FileNotFoundError` if it was deleted meanwhile."""
        found = blocks(self.blobs.get(key))
        return ((line, item) for block in found for line in block.splitlines() for item in traffic((line,)))

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Store the unreadable lines of a file."""
        if self.rejected is not None:
            self.rejected.keep(key.partition("/")[2], lines)

    def latest(
        self, variant: str, limit: int, unreadable: Counter[str], after: str = ""
    ) -> Iterator[tuple[str, Exchange]]:
        """Up to `limit` exchanges of a variant in the last `HOURS`, and their positions, newest files first.

        Starts after the position `after`, unless empty. Counts skipped lines in `unreadable`, by reason.
        """
        return newest(self._newest(variant, after.rpartition("#")[0]), limit, unreadable, after)

    def _newest(self, variant: str, begins: str) -> Iterator[tuple[str, bytes]]:
        """The files of a variant, newest first, starting with `begins`."""
        hour = datetime.now(UTC)
        for back in range(HOURS):
            prefix = f"{self.folder}{variant}/{hour - timedelta(hours=back):%Y/%m/%d/%H}/"
            for key in sorted(names(self.blobs, prefix), reverse=True):
                if begins in {"", key}:
                    begins = ""
                    try:
                        content = b"".join(self.blobs.get(key))
                    except FileNotFoundError:  # it has expired since it was listed
                        continue
                    yield key, content

    def search(self, word: str, window: Window) -> Searched:
        """Search for an id, or the beginning of one; raises `RolloutError` if captures cannot be read.

        It ends an hour before the newest prediction with this id. That hour is searched too: it may have the answer of
        a shadow variant, or of another variant to which the request was sent again.
        """
        search, files, left = Search(word), 0, math.inf
        variants = [key.split("/")[self.folder.count("/")] for key in self._firsts(self.folder, 1)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            months = dict(zip(variants, pool.map(self._months, variants), strict=True))
            for found in self._hours(pool, months, window):
                if left == 0:
                    break
                list(pool.map(partial(self._look, search), self._worth(pool, word, found)))
                files += len(found)
                left = 1 if search.exact and left == math.inf else left - 1
        oldest = min((hour.timestamp() for found in months.values() for hour in found), default=None)
        place = f"{files:,} files of captures under {self.uri or self.folder}"
        return Searched(tuple(search.exact), tuple(search.begun), (place,), oldest=oldest)

    def _months(self, variant: str) -> list[datetime]:
        """The first hour of each month in which a variant has captures."""
        hours = (self._hour_of(variant, key) for key in self._firsts(f"{self.folder}{variant}/", 2))
        return [hour for hour in hours if hour]

    def _hours(
        self, pool: ThreadPoolExecutor, months: Mapping[str, Sequence[datetime]], window: Window
    ) -> Iterator[Sequence[tuple[str, str]]]:
        """Variants and keys of each hour that has files, newest hour first; lists one day at a time."""
        first, last = _hour(window.since), _hour(window.until)
        there: dict[tuple[int, int], list[str]] = {}
        for variant, found in months.items():
            for hour in found:
                there.setdefault((hour.year, hour.month), []).append(variant)
        for (year, month), variants in sorted(there.items(), reverse=True):
            for number in reversed(range(1, monthrange(year, month)[1] + 1)):
                day = datetime(year, month, number, tzinfo=UTC)
                if first - _DAY < day <= last:
                    listed = pool.map(partial(self._of_day, day), variants)
                    of_hour: dict[datetime, list[tuple[str, str]]] = {}
                    for variant, keys in zip(variants, listed, strict=True):
                        for at, key in keys:
                            of_hour.setdefault(at, []).append((variant, key))
                    yield from (of_hour[at] for at in sorted(of_hour, reverse=True) if first <= at <= last)

    def _of_day(self, day: datetime, variant: str) -> list[tuple[datetime, str]]:
        keys = names(self.blobs, f"{self.folder}{variant}/{day:%Y/%m/%d}/")
        return [(at, key) for key in keys if (at := self._hour_of(variant, key))]

    def _worth(
        self, pool: ThreadPoolExecutor, word: str, files: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, str]]:
        """The files that a search must read."""
        keys = [key for _, key in files]
        groups = [keys[start : start + MOST] for start in range(0, len(keys), MOST)]
        worth = {key for group in pool.map(partial(self.may_hold, word), groups) for key in group}
        return (place for place in files if place[1] in worth)

    def _look(self, search: Search, place: tuple[str, str]) -> None:
        variant, key = place
        with suppress(FileNotFoundError):  # it has gone since it was listed
            for block in blocks(self.blobs.get(key)):
                search.look(variant, block)

    def _hour_of(self, variant: str, key: str) -> datetime | None:
        """The hour in the name of a file; None for any other name."""
        rest = key[len(f"{self.folder}{variant}/") :]
        try:
            return datetime.strptime(rest[:13], "%Y/%m/%d/%H").replace(tzinfo=UTC)
        except ValueError:
            return None

    def _firsts(self, prefix: str, depth: int) -> Iterator[str]:
        """The first file of each folder at a depth below a prefix; the other files are not listed."""
        after = prefix
        while found := self.blobs.list(prefix, after, 1):
            yield found[0]
            folder = "/".join(found[0].split("/")[: prefix.count("/") + depth])
            after = f"{folder}{_AFTER_SLASH}"


def _hour(at: float) -> datetime:
    """The full hour of a time, within the range of `datetime`."""
    bounded = min(max(at, 0.0), 253_402_300_799.0 - 86_400)
    return datetime.fromtimestamp(bounded, UTC).replace(minute=0, second=0, microsecond=0)
