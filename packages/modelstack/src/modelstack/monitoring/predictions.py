"""Search of captured predictions by id: lines are scanned as bytes, and only those that contain the id are parsed.

An id is the caller's inference id or the platform's event id. A prefix of at least `LEAST` characters stands for an id
if it is unique.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from modelstack.monitoring.captured import epoch

if TYPE_CHECKING:  # loads the statistics, which would slow down a command
    from modelstack.monitoring.labels.pairs import LedgerEntry

LEAST = 4
"""Minimum characters of an id prefix."""
MOST = 5
"""Prefix matches that are kept: enough to show that there are several."""
LONGEST = 200
"""Maximum characters of an id: more than either platform returns or accepts."""
_PLAIN = re.compile(r"[A-Za-z0-9_.: -]+")
"""Characters that every JSON writer leaves as they are."""


@dataclass(frozen=True)
class Window:
    """A time range, epoch seconds."""

    since: float = -math.inf
    until: float = math.inf

    @property
    def bounded(self) -> bool:
        """Whether a range was given."""
        return self != EVER

    def __contains__(self, at: float) -> bool:
        return self.since <= at <= self.until


EVER = Window()


@dataclass(frozen=True)
class Prediction:
    """One answer to a request, which may hold several predictions, at whole epoch seconds (None if unknown).

    `event` is the platform's id, `inference` the caller's, which a shadow variant's copy shares; each may be empty.
    """

    variant: str
    event: str
    inference: str
    at: float | None

    def bears(self, word: str) -> bool:
        """Whether one of its ids is this word."""
        return word in (self.event, self.inference)

    def begins(self, word: str) -> frozenset[str]:
        """Its ids that begin with this word."""
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
    """Searches captured lines for an id or its beginning; any number of threads may use it at once.

    Attributes:
        whole: Only exact ids count. A search switches to this itself once it knows `MOST` others.
        exact: Predictions with this id.
        begun: Some of those whose id only begins with it.
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
        """Bytes that every matching line contains: the longest part of the word that JSON writes in only one way."""
        part: str = max(("", *_PLAIN.findall(self.word)), key=len)
        return f'"{part}"'.encode() if self.whole and part == self.word else part.encode()

    def look(self, variant: str, block: bytes) -> None:
        """Search whole lines of a variant's captures."""
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
        """Store a prediction whose id begins with the word."""
        with self._lock:
            if found.bears(self.word):
                if found not in self.exact:
                    self.exact.append(found)
            elif not self.whole and found not in self.begun:
                self.begun.append(found)
                self.whole = len({name for one in self.begun for name in one.begins(self.word)}) >= MOST


@dataclass(frozen=True)
class Searched:
    """The result of a search.

    Attributes:
        places: Where it searched, a phrase each, such as `1,204 files of captures since 2026-03-01 09:00`.
        unread: What could not be read, and why, a sentence each.
        oldest: When the oldest stored capture was made, epoch seconds; None if there is none.
        percent: The share of requests that is captured now; None if it is unknown.
    """

    exact: tuple[Prediction, ...] = ()
    begun: tuple[Prediction, ...] = ()
    places: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    oldest: float | None = None
    percent: float | None = None


def of_entry(entry: LedgerEntry, window: Window) -> tuple[Prediction, ...]:
    """The predictions of an inference id in a label ledger; answers without a known time are in every window."""
    found = (Prediction(name, one.event, entry.id, one.at or None) for name, one in sorted(entry.answers.items()))
    return tuple(one for one in found if one.at is None or one.at in window)


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a file in whole lines, about a chunk at a time."""
    rest = b""
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
        rest = chunk[cut:] if cut else rest + chunk
    if rest:
        yield rest


def _prediction(variant: str, line: bytes) -> Prediction | None:
    """What a line holds, even if its request or answer cannot be parsed; None if it is no record."""
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
