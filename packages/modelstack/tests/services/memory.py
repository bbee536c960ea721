"""A platform in memory for tests, as strict as the strictest real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelstack.monitoring.measurements import Datum, Values
from modelstack.rollout.core.errors import Conflict
from modelstack.services.documents import KEPT_SECONDS, LASTING, check_limits, packed, unpacked
from modelstack.services.invoke import NoSuchVariant, Request, Response
from modelstack.services.ports import Document

_LONGEST_KEY = 2048  # bytes


@dataclass
class MemoryDocuments:
    """`Documents` in memory, for any number of threads."""

    now: Callable[[], float] = time.time
    _stored: dict[str, tuple[float, Document]] = field(default_factory=dict[str, tuple[float, Document]])
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get(self, keys: Iterable[str]) -> Mapping[str, Document]:
        with self._lock:
            return {key: self._read(key) for key in keys}

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        if not queue:
            raise ValueError("queue: got an empty name, expected one")
        with self._lock:
            listed = [one for key in self._stored if (one := self._read(key)).queue == queue and one.since <= before]
        yield from sorted(listed, key=lambda document: document.since)

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        check_limits(puts, deletes)
        for document in puts:
            if not 0 < len(document.key.encode()) <= _LONGEST_KEY:
                raise ValueError(f"key: got {document.key[:80]!r}, expected a text of 1 to {_LONGEST_KEY} bytes")
        with self._lock:
            refused = {one.key for one in puts if self._read(one.key).revision != one.revision}
            refused |= {one.key for one in deletes if self._read(one.key).revision != one.revision or not one.revision}
            if not refused:
                for one in puts:
                    body = unpacked(packed(one.body))
                    self._stored[one.key] = self.now(), replace(one, body=body, revision=one.revision + 1)
                for one in deletes:
                    del self._stored[one.key]
        return frozenset(refused)

    def _read(self, key: str) -> Document:
        written, document = self._stored.get(key, (0.0, Document(key)))
        if document.revision and written <= self.now() - KEPT_SECONDS and not key.startswith(LASTING):
            return Document(key)
        return replace(document, body=unpacked(packed(document.body)))


@dataclass
class MemoryMetrics:
    """`Metrics` in memory; lists everything that was published, in order."""

    repeatable: bool = False
    data: list[Datum] = field(default_factory=list[Datum])
    values: list[Values] = field(default_factory=list[Values])
    _once: set[str] = field(default_factory=set[str], repr=False)

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        if not (self.repeatable and once in self._once):
            self.data += data
            self.values += values
        self._once |= {once} - {""}


@dataclass
class MemoryBlobs:
    """`Blobs` in memory."""

    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def put_new(self, name: str, content: bytes) -> None:
        if self.stored.setdefault(name, content) != content:
            raise Conflict(f"{name}: other bytes are stored under this name")

    def get(self, name: str) -> Iterable[bytes]:
        if name not in self.stored:
            raise FileNotFoundError(name)
        return [self.stored[name]]

    def list(self, prefix: str, after: str = "", most: int = 1000) -> Sequence[str]:
        return sorted(name for name in self.stored if name.startswith(prefix) and name > after)[:most]


Model = Callable[[Request], tuple[int, bytes, float]]
"""Answers a request: status, body and seconds."""


@dataclass
class MemoryInvoke:
    """`Invoke` in memory; the first of `models` gets the requests without a variant."""

    models: Mapping[str, Model]
    sent: list[Request] = field(default_factory=list[Request])

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        variant = request.variant or next(iter(self.models), "")
        if variant not in self.models:
            raise NoSuchVariant(f"variant: got {variant!r}, the endpoint has {', '.join(self.models)}")
        return Response(*self.models[variant](request), variant)
