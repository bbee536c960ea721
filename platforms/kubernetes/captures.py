"""Captured exchanges in PostgreSQL: what the serving pods post, each kept once.

    intake(database, "flights", "v-a", lines)     # Taken(kept=40, again=0, malformed=0)
    captures = Captures(database, "flights")      # as `monitoring.drift.watch` reads them, and the replay gate

What one post brings that is new is kept as one file, whose lines never change. Files of a variant are numbered without
gaps, in the order in which they become visible: who has read up to a number has missed none before it.

An exchange is known by its event id. A line that has none, or cannot be read, is known by its post's content and its
place in it: the same post a second time changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.captured import Malformed, Recorded, Side
from monitoring.exchanges import read, traffic
from monitoring.published import CAPTURE_UNREADABLE, CAPTURED
from platforms.kubernetes.database import Database, Run
from platforms.kubernetes.measured import add, counter
from platforms.kubernetes.schema import kept
from rollout.core.errors import RolloutError
from services.replay import HOURS, newest

MOST = 16 * 1024 * 1024
"""Bytes of one post."""
_LONGEST_ID = 100
_ASIDE, _CUT = 50, 2000  # malformed lines that are kept of one post, and characters of each
_FILES, _BYTES = 20, 4 * 1024 * 1024  # that are read at once, and one more
_DIGITS, _NEWEST = 19, 2**63 - 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Taken:
    """What a post brought.

    Attributes:
        kept: Exchanges that are new.
        again: Lines that were known.
        malformed: Lines that cannot be read, and were not known.
    """

    kept: int
    again: int
    malformed: int


def intake(database: Database, endpoint: str, variant: str, lines: bytes) -> Taken:
    """Keep captured exchanges: all of a post, or none and an error.

    What the replay gate and the probe asked is left out. Malformed lines are kept aside with the reason, and counted.

    Raises:
        RolloutError: The endpoint or the variant is no name, or the post is too large: a repetition will not help.
        Busy, Unreachable: The same post should be sent again.
    """
    for what, name in (("endpoint", endpoint), ("variant", variant)):
        if not _NAME.fullmatch(name):
            raise RolloutError(f"{what}: got {name[:80]!r}, expected a name of lower-case letters, digits, - and .")
    if len(lines) > MOST:
        raise RolloutError(f"captures of {variant}: got {len(lines):,} bytes, at most {MOST:,} are taken at once")
    digest = hashlib.sha256(lines).hexdigest()
    found: dict[str, tuple[bytes, Malformed | None]] = {}
    again = 0
    for place, line in enumerate(lines.split(b"\n")):
        for item in read((line,)):
            if isinstance(item, Recorded) and item.ours:
                continue
            known = _known(item, f"{digest}:{place}")
            again += known in found
            found.setdefault(known, (line, item if isinstance(item, Malformed) else None))
    if not found:
        return Taken(0, 0, 0)

    def stored(run: Run) -> Taken:
        new = run(
            "INSERT INTO events (endpoint, variant, event) SELECT :endpoint, :variant, unnest(:events::text[]) "
            "ON CONFLICT DO NOTHING RETURNING event",
            endpoint=endpoint,
            variant=variant,
            events=sorted(found),  # in one order, so that no two posts wait for each other
        )
        first = {event for (event,) in new}
        items = [found[event] for event in found if event in first]
        malformed = [(line, item.why) for line, item in items if item is not None]
        good = [line for line, item in items if item is None]
        if malformed:
            _put_aside(run, endpoint, f"{variant}/{digest}", malformed)
        if good:
            _file(run, endpoint, variant, b"\n".join(good))
        counts = {CAPTURED: len(good), CAPTURE_UNREADABLE: len(malformed)}
        add(run, endpoint, {counter(name, variant=variant): count for name, count in counts.items()})
        return Taken(len(good), again + len(found) - len(first), len(malformed))

    return database.together(f"keep captures of {variant}", stored)


def _known(item: Recorded | Malformed, otherwise: str) -> str:
    return known_by(item.event_id if isinstance(item, Recorded) else "") or otherwise


def known_by(event: str) -> str:
    """What an event id is kept as in the table `events`."""
    if len(event) > _LONGEST_ID:
        return hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()
    return kept(event)


def _file(run: Run, endpoint: str, variant: str, lines: bytes) -> None:
    """Keep a file under the next number. Until the end of the transaction nobody else gets one of this variant."""
    run(
        "WITH numbered AS (INSERT INTO variants AS v (endpoint, variant, last) VALUES (:endpoint, :variant, 1) "
        "ON CONFLICT (endpoint, variant) DO UPDATE SET last = v.last + 1 RETURNING last) "
        "INSERT INTO captures (endpoint, variant, number, lines) "
        "SELECT :endpoint, :variant, last, :lines FROM numbered",
        endpoint=endpoint,
        variant=variant,
        lines=lines,
    )


def _put_aside(run: Run, endpoint: str, name: str, lines: Sequence[tuple[bytes, str]]) -> None:
    content = [json.dumps({"why": why, "line": _short(line)}) for line, why in lines[:_ASIDE]]
    put_aside(run, endpoint, "captures", name, content)


def put_aside(run: Run, endpoint: str, kind: str, name: str, lines: Sequence[str]) -> None:
    """Keep lines of JSON of what could not be used; the same name again replaces them."""
    run(
        "INSERT INTO aside (endpoint, kind, name, lines) VALUES (:endpoint, :kind, :name, :lines) "
        "ON CONFLICT (endpoint, kind, name) DO UPDATE SET lines = excluded.lines, received = now()",
        endpoint=endpoint,
        kind=kind,
        name=kept(name),
        lines="".join(f"{line}\n" for line in lines),
    )


def _short(line: bytes) -> str:
    return line[:_CUT].decode("utf-8", "replace")


@dataclass(frozen=True)
class Captures:
    """The files of an endpoint; `monitoring.drift.watch.Captures`. A key is `<variant>/<number>`."""

    database: Database
    endpoint: str

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        """The next files, oldest first."""
        found = self.database.run(
            f"list captures of {variant}",
            "SELECT number FROM captures WHERE endpoint = :endpoint AND variant = :variant AND number > :after "
            "ORDER BY number LIMIT :most",
            endpoint=self.endpoint,
            variant=variant,
            after=number_of(after),
            most=most,
        )
        return [key_of(variant, number) for (number,) in found]

    def recent(self, variant: str, until: str) -> Collection[str]:
        """None: a file comes after those that could be seen before it."""
        return ()

    def exchanges(self, key: str) -> Iterator[tuple[bytes, Recorded | Malformed]]:
        """What one file holds, each with its line.

        Raises:
            FileNotFoundError: It has been forgotten since it was listed.
        """
        return ((line, item) for line in self.file(key)[0] for item in traffic((line,)))

    def file(self, key: str) -> tuple[Iterable[bytes], float]:
        """The lines of a file, to be read once, and when it came, epoch seconds; raises as `exchanges`."""
        found = self.database.run(
            f"read captures {key}",
            "SELECT lines, extract(epoch FROM received)::float8 FROM captures "
            "WHERE endpoint = :endpoint AND variant = :variant AND number = :number",
            endpoint=self.endpoint,
            variant=key.rpartition("/")[0],
            number=number_of(key),
        )
        if not found:
            raise FileNotFoundError(key)
        return (line.rstrip(b"\n") for line in io.BytesIO(found[0][0])), found[0][1]

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Keep aside what could not be read of a file."""
        self.database.together(
            f"keep aside of {key}", lambda run: put_aside(run, self.endpoint, "captures", key, lines)
        )

    def latest(
        self, variant: str, limit: int, unreadable: Counter[str], after: str = ""
    ) -> Iterator[tuple[str, tuple[Side, Side]]]:
        """The captured exchanges of a variant, each with its place, the latest first.

        Args:
            variant: Who answered.
            limit: At most how many.
            unreadable: Counts the lines that are passed over, by the reason.
            after: Only those after this place; empty for all.
        """
        return newest(self._newest(variant, after.rpartition("#")[0]), limit, unreadable, after)

    def _newest(self, variant: str, begins: str) -> Iterator[tuple[str, bytes]]:
        """The files of a variant, newest first, from one on, or from the next one where that is forgotten."""
        until = int(begins or _NEWEST)
        while files := self._before(variant, until):
            yield from ((str(number), bytes(lines)) for number, lines in files)
            until = files[-1][0] - 1

    def _before(self, variant: str, until: int) -> list[list[Any]]:
        return self.database.run(
            f"read the latest captures of {variant}",
            "SELECT number, lines FROM (SELECT number, lines, sum(octet_length(lines)) OVER (ORDER BY number DESC) "
            "- octet_length(lines) AS later FROM captures WHERE endpoint = :endpoint AND variant = :variant "
            "AND number <= :until AND received > now() - make_interval(hours => :hours) "
            "ORDER BY number DESC LIMIT :most) AS latest WHERE later < :bytes ORDER BY number DESC",
            bytes=_BYTES,
            endpoint=self.endpoint,
            variant=variant,
            until=until,
            hours=HOURS,
            most=_FILES,
        )


def key_of(variant: str, number: int) -> str:
    """The key of a file; keys of a variant are in the order of their numbers."""
    return f"{variant}/{number:0{_DIGITS}}"


def number_of(key: str) -> int:
    """The number in a key; 0 in an empty one."""
    return int(key.rpartition("/")[2] or 0)
