"""A steady load on a gateway, over connections that are kept, with nothing tried twice: what is lost is seen.

    with load("http://10.96.3.7", body, rate=100) as seen:
        ...
    seen.lost()

A request is sent when its time has come. While all workers wait for answers it is sent late, so a stall shows as fewer
requests, and none is left out.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from modelstack.platforms.kubernetes.names import VARIANT_HEADER

_WORKERS = 12
_SECONDS = 30.0  # a request may take
_OK = 200


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
        sent: When it was sent, monotonic seconds.
        at: When it was answered, or given up.
        status: Of HTTP; 0 when the connection broke.
        variant: Who answered; empty when the gateway did, or nobody.
        text: What went wrong; empty when nothing did.
    """

    sent: float
    at: float
    status: int
    variant: str
    text: str = ""


@dataclass
class Seen:
    """What became of all requests so far, in the order in which they ended."""

    answers: list[Answer] = field(default_factory=list[Answer])

    @property
    def sent(self) -> int:
        """How many are done."""
        return len(self.answers)

    def lost(self, since: int = 0) -> list[Answer]:
        """Those that were not answered with 200, whoever is to blame; leaving out the first so many."""
        return [answer for answer in self.answers[since:] if answer.status != _OK]

    def by(self, variant: str, since: float) -> list[Answer]:
        """What a variant answered since a time."""
        return [answer for answer in self.answers if answer.variant == variant and answer.at >= since]


@contextmanager
def load(url: str, body: bytes, rate: float, headers: Mapping[str, str] | None = None) -> Iterator[Seen]:
    """Send requests at a rate until the block ends; yields the growing result.

    Args:
        url: Where to, without a path.
        body: Of each request, JSON.
        rate: Requests a second.
        headers: More headers.
    """
    seen, ended, begun = Seen(), threading.Event(), time.monotonic()
    taken, lock = iter(range(1 << 62)), threading.Lock()
    address = urlsplit(url).netloc
    told = {"Content-Type": "application/json", **(headers or {})}

    def work() -> None:
        connection = http.client.HTTPConnection(address, timeout=_SECONDS)
        while True:
            with lock:
                due = begun + next(taken) / rate
            if ended.wait(max(0.0, due - time.monotonic())):
                return
            seen.answers.append(_asked(connection, body, told))

    workers = [threading.Thread(target=work, daemon=True) for _ in range(_WORKERS)]
    for worker in workers:
        worker.start()
    try:
        yield seen
    finally:
        ended.set()
        for worker in workers:
            worker.join(_SECONDS)


def _asked(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> Answer:
    """One request, once; a connection that broke is made anew for the next one."""
    sent = time.monotonic()
    try:
        connection.request("POST", "/invocations", body, dict(headers))
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Answer(sent, time.monotonic(), 0, "", f"{type(error).__name__}: {error}")
    text = "" if answer.status == _OK else f"{answer.status}: {said[:120].decode(errors='replace')}"
    return Answer(sent, time.monotonic(), answer.status, answer.getheader(VARIANT_HEADER) or "", text)
