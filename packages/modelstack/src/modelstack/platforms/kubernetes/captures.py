"""Captured exchanges in PostgreSQL, posted by the serving pods, each stored once.

The new exchanges of a post become one file, which never changes. Files of a variant are numbered without gaps, in the
order in which they become visible: a reader of file n has missed none before it.

An exchange is identified by its event id. A line without a readable id is identified by its post's digest and its
position, so that a repeated post changes nothing.
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

from modelstack.monitoring.captured import Malformed, Recorded, Side
from modelstack.monitoring.exchanges import read, traffic
from modelstack.monitoring.published import CAPTURE_UNREADABLE, CAPTURED
from modelstack.platforms.kubernetes.database import Database, Run
from modelstack.platforms.kubernetes.measured import add, counter
from modelstack.platforms.kubernetes.schema import kept
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.replay import HOURS, newest

MOST = 16 * 1024 * 1024  # the maximum size of a post, bytes
_LONGEST_ID = 100
_ASIDE, _CUT = 50, 2000  # malformed lines that are kept of one post, and characters of each
_FILES, _BYTES = 20, 4 * 1024 * 1024  # that are read at once, and one more
_DIGITS, _NEWEST = 19, 2**63 - 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Taken:
    """The numbers of new exchanges, of known lines, and of new unreadable lines in a post."""

    kept: int
    again: int
    malformed: int


def intake(database: Database, endpoint: str, variant: str, lines: bytes) -> Taken:
    """Store the exchanges of a post, all or none, without those that the replay gate or the probe requested.

    Malformed lines are stored separately with the reason, and counted. After Busy or Unreachable, send the post again;
    another RolloutError means an invalid name or size.
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
            known = known_by(item.event_id if isinstance(item, Recorded) else "") or f"{digest}:{place}"
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
            lost = [{"why": why, "line": line[:_CUT].decode("utf-8", "replace")} for line, why in malformed[:_ASIDE]]
            put_aside(run, endpoint, "captures", f"{variant}/{digest}", list(map(json.dumps, lost)))
        if good:
            _file(run, endpoint, variant, b"\n".join(good))
        counts = {CAPTURED: len(good), CAPTURE_UNREADABLE: len(malformed)}
        add(run, endpoint, {counter(name, variant=variant): count for name, count in counts.items()})
        return Taken(len(good), again + len(found) - len(first), len(malformed))

    return database.together(f"keep captures of {variant}", stored)


def known_by(event: str) -> str:
    """The key of an event id in the table `events`."""
    if len(event) > _LONGEST_ID:
        return hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()
    return kept(event)


def _file(run: Run, endpoint: str, variant: str, lines: bytes) -> None:
    """Store a file under the next number. Until the transaction ends, nobody else gets a number of this variant."""
    run(
        "WITH numbered AS (INSERT INTO variants AS v (endpoint, variant, last) VALUES (:endpoint, :variant, 1) "
        "ON CONFLICT (endpoint, variant) DO UPDATE SET last = v.last + 1 RETURNING last) "
        "INSERT INTO captures (endpoint, variant, number, lines) "
        "SELECT :endpoint, :variant, last, :lines FROM numbered",
        endpoint=endpoint,
        variant=variant,
        lines=lines,
    )


def put_aside(run: Run, endpoint: str, kind: str, name: str, lines: Sequence[str]) -> None:
    """Store JSON lines about unusable input; the same name again replaces them."""
    run(
        "INSERT INTO aside (endpoint, kind, name, lines) VALUES (:endpoint, :kind, :name, :lines) "
        "ON CONFLICT (endpoint, kind, name) DO UPDATE SET lines = excluded.lines, received = now()",
        endpoint=endpoint,
        kind=kind,
        name=kept(name),
        lines="".join(f"{line}\n" for line in lines),
    )


@dataclass(frozen=True)
class Captures:
    """The files of an endpoint; `modelstack.monitoring.drift.watch.Captures`. A key is `<variant>/<number>`."""

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
        """None: a new file always comes after the visible ones."""
        return ()

    def exchanges(self, key: str) -> Iterator[tuple[bytes, Recorded | Malformed]]:
        """The exchanges of a file, each with its line; raises FileNotFoundError if the file has expired."""
        return ((line, item) for line in self.file(key)[0] for item in traffic((line,)))

    def file(self, key: str) -> tuple[Iterable[bytes], float]:
        """The lines of a file, readable once, and its time of receipt, epoch seconds; raises as `exchanges`."""
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
        """Store the unreadable lines of a file."""
        self.database.together(
            f"keep aside of {key}", lambda run: put_aside(run, self.endpoint, "captures", key, lines)
        )

    def latest(
        self, variant: str, limit: int, unreadable: Counter[str], after: str = ""
    ) -> Iterator[tuple[str, tuple[Side, Side]]]:
        """At most `limit` exchanges after a place, with their places, newest first; counts errors in `unreadable`."""
        return newest(self._newest(variant, after.rpartition("#")[0]), limit, unreadable, after)

    def _newest(self, variant: str, begins: str) -> Iterator[tuple[str, bytes]]:
        """The files of a variant, newest first, from a number on, or from the next one if that has expired."""
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
    """The key of a file; the keys of a variant sort by number."""
    return f"{variant}/{number:0{_DIGITS}}"


def number_of(key: str) -> int:
    """The number in a key; 0 for an empty key."""
    return int(key.rpartition("/")[2] or 0)
