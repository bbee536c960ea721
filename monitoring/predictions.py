"""Which captured prediction bears an id? Pure: lines are searched as bytes, and only those that hold the id are read.

    search = Search("order-17")
    for block in blocks(chunks_of_a_file):
        search.look("v-8ead519c468b", block)
    search.exact, search.begun

An id is the caller's inference id, or the event id of the platform. The first characters of one, at least `LEAST`,
stand for it, if no other one begins so.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from monitoring.captured import epoch

if TYPE_CHECKING:  # it loads statistics, which a person who asks need not wait for
    from monitoring.labels.pairs import Entry

LEAST = 4
"""Characters that are taken for the beginning of an id."""
MOST = 5
"""Ids that are kept of those that only begin so: enough to say that there are several."""
LONGEST = 200
"""Characters of an id: more than either platform gives or takes."""
_PLAIN = re.compile(r"[A-Za-z0-9_.: -]+")
"""What every writer of JSON leaves as it is."""


@dataclass(frozen=True)
class Window:
    """The time in which a prediction was given, epoch seconds; unbounded where nobody says."""

    since: float = -math.inf
    until: float = math.inf

    @property
    def bounded(self) -> bool:
        """Whether somebody said when it was."""
        return self != EVER

    def __contains__(self, at: float) -> bool:
        return self.since <= at <= self.until


EVER = Window()


@dataclass(frozen=True)
class Prediction:
    """One answer to a request, which may hold several predictions.

    Attributes:
        variant: Who answered.
        event: The platform's id of the invocation; empty when the capture has none.
        inference: The caller's id of it; empty when there was none. A copy for a shadow variant has the same.
        at: When it was answered, epoch seconds, whole ones; None when that is not told, or is no time.
    """

    variant: str
    event: str
    inference: str
    at: float | None

    def bears(self, word: str) -> bool:
        """Whether it is called so."""
        return word in (self.event, self.inference)

    def begins(self, word: str) -> frozenset[str]:
        """Its ids that begin so."""
        return frozenset(one for one in (self.event, self.inference) if one.startswith(word))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Prediction:
        """Read `as_dict`."""
        return cls(told["variant"], told["event"], told["inference"], told["at"])


@dataclass
class Search:
    """Looks for an id in captured lines; any number of threads may do so at once.

    Attributes:
        word: The id, or the beginning of one.
        whole: Only an id that is the whole word counts. A search comes to this by itself, once it knows `MOST` others.
        exact: What is called so.
        begun: Some of what only begins so.
    """

    word: str
    whole: bool = False
    exact: list[Prediction] = field(default_factory=list[Prediction])
    begun: list[Prediction] = field(default_factory=list[Prediction])
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.whole = self.whole or len(self.word) < LEAST

    @property
    def needle(self) -> bytes:
        """Bytes that every line has which tells of the id: as much of the word as JSON writes in one way alone."""
        part: str = max(("", *_PLAIN.findall(self.word)), key=len)
        return f'"{part}"'.encode() if self.whole and part == self.word else part.encode()

    def look(self, variant: str, block: bytes) -> None:
        """Look through whole lines of what a variant answered."""
        needle, place = self.needle, 0
        while (place := block.find(needle, place)) >= 0:
            start, end = block.rfind(b"\n", 0, place) + 1, block.find(b"\n", place)
            end = len(block) if end < 0 else end
            found = _prediction(variant, block[start:end])
            if found is not None and found.begins(self.word):
                self.take(found)
                needle = self.needle
            place = end + 1

    def take(self, found: Prediction) -> None:
        """Keep a prediction whose id begins with the word."""
        with self._lock:
            if found.bears(self.word):
                if found not in self.exact:
                    self.exact.append(found)
            elif not self.whole and found not in self.begun:
                self.begun.append(found)
                self.whole = len({name for one in self.begun for name in one.begins(self.word)}) >= MOST


@dataclass(frozen=True)
class Searched:
    """What a search came to, and where it looked.

    Attributes:
        exact: What is called so.
        begun: Some of what only begins so.
        places: Where it was looked, a phrase each, such as `1,204 files of captures since 2026-03-01 09:00`.
        unread: What could not be looked at, and why, a sentence each.
        oldest: When the oldest capture that is kept was made, epoch seconds; None without any.
        percent: The share of the requests that is captured now; None where that is not known.
    """

    exact: tuple[Prediction, ...] = ()
    begun: tuple[Prediction, ...] = ()
    places: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    oldest: float | None = None
    percent: float | None = None


def of_entry(entry: Entry, window: Window) -> tuple[Prediction, ...]:
    """The predictions that a ledger of labels tells of an inference id: the first answer of each variant.

    One whose time is not known is in every window.
    """
    found = (Prediction(name, one.event, entry.id, one.at or None) for name, one in sorted(entry.answers.items()))
    return tuple(one for one in found if one.at is None or one.at in window)


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a file in whole lines, about as much at a time as a chunk has."""
    rest = b""
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
        rest = chunk[cut:] if cut else rest + chunk
    if rest:
        yield rest


def _prediction(variant: str, line: bytes) -> Prediction | None:
    """What a line tells, whether or not its request and its answer can be read; None of what is no record."""
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    meta = cast(Mapping[str, object], record).get("eventMetadata") if isinstance(record, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    told = cast(Mapping[str, object], meta)
    event, inference = (str(told.get(name) or "") for name in ("eventId", "inferenceId"))
    return Prediction(variant, event, inference, epoch(str(told.get("inferenceTime") or "")))
