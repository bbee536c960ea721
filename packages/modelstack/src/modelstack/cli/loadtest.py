"""Load generator of `modelstack loadtest` and `make bench`: latency under a given load.

With a rate, the load is open: a latency counts from when the request was due, whether or not earlier ones were
answered (Tene, How NOT to Measure Latency, 2013). Without a rate, each connection is a closed loop, for throughput.
"""

from __future__ import annotations

import asyncio
import re
import select
import selectors
import ssl
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, log10
from typing import Any
from urllib.parse import urlsplit

import httptools
import httpx
import uvloop

from modelstack.cli.errors import UNKNOWN, OperatorError, reasons

PATIENCE = 10.0  # seconds to wait for answers after the last request
_JSON = "application/json"
_PORTS = {"http": 80, "https": 443}
_LONGEST = 200  # characters of a refusal that are shown
_TICK = 0.001
_RECONNECT_SECONDS = 0.1
_SIGNED_SECONDS = 60.0  # a signature is valid for five minutes
_BARS = (0, 25, 50, 75, 90, 95, 99, 99.9, 100)
_WIDTH = 50


@dataclass(frozen=True)
class LoadTarget:
    """Where requests go.

    `called` is the Host header and TLS server name, empty for host and port. `sign` returns further headers for a body,
    which are valid for more than two minutes.
    """

    host: str
    port: int
    path: str = "/invocations"
    content_type: str = _JSON
    called: str = ""
    tls: ssl.SSLContext | None = None
    sign: Callable[[bytes, str], Mapping[str, str]] | None = None

    @classmethod
    def of(
        cls,
        url: str,
        content_type: str = _JSON,
        called: str = "",
        verify: ssl.SSLContext | bool = True,
        sign: Callable[[bytes, str], Mapping[str, str]] | None = None,
    ) -> LoadTarget:
        """The target of a URL, by default with path `/invocations`; OperatorError for a bad URL or content type."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            what = "expected http://HOST:PORT or https://HOST:PORT, with or without a path"
            raise OperatorError(f"--url is {url!r}: {what}", exit_code=2)
        if not re.fullmatch("[!-~][ -~]*", content_type):
            raise OperatorError(f"--content-type is {content_type!r}: expected one such as text/csv", exit_code=2)
        path = parts.path.rstrip("/") or "/invocations"
        tls = httpx.create_ssl_context(verify) if parts.scheme == "https" else None  # as `invoke` does
        return cls(parts.hostname, parts.port or _PORTS[parts.scheme], path, content_type, called, tls, sign)

    def request(self, body: bytes) -> bytes:
        """The bytes of a request."""
        usual = self.port == _PORTS["https" if self.tls else "http"]
        headers = {"Host": self.called or (self.host if usual else f"{self.host}:{self.port}")}
        headers |= {"Content-Type": self.content_type, **(self.sign(body, self.content_type) if self.sign else {})}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@dataclass(frozen=True)
class Load:
    """Requests a second (0: as many as possible), seconds, and number of connections."""

    rate: float = 0.0
    seconds: float = 10.0
    connections: int = 8


@dataclass
class LoadResult:
    """The results.

    Attributes:
        latencies: Seconds, sorted once the load has ended.
        statuses: Status -> count; 0 for a lost connection.
        refusals: Status -> reason of the first such answer.
    """

    latencies: list[float] = field(default_factory=list[float])
    statuses: Counter[int] = field(default_factory=Counter[int])
    refusals: dict[int, str] = field(default_factory=dict[int, str])
    seconds: float = 0.0
    unanswered: int = 0

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return self.statuses[200] / self.seconds if self.seconds else 0.0

    def at(self, percent: float) -> float:
        """A latency percentile, seconds."""
        place = max(ceil(len(self.latencies) * percent / 100) - 1, 0)
        return self.latencies[place] if self.latencies else 0.0


def run(target: LoadTarget, body: bytes, load: Load) -> LoadResult:
    """Put a load on a server; OperatorError if it does not accept connections, or its certificate is not trusted."""
    asked = _Run(target.request(body), load).go(target, body)
    if not load.rate:
        return uvloop.run(asked)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_PreciseSelector())) as runner:
        return runner.run(asked)


class _PreciseSelector(selectors.DefaultSelector):
    """Wakes an event loop within microseconds of a given time, where epoll has whole milliseconds only.

    Late requests would look like slow answers. Busy waiting would take a core from the server: on two busy cores, it
    made answers ten times slower.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


def plotted(found: LoadResult) -> list[str]:
    """A bar for each percentile, on a logarithmic scale; empty without answers."""
    if not found.latencies:
        return []
    low, high = log10(max(found.at(0), 1e-6)), log10(max(found.at(100), 1e-6))
    lines: list[str] = []
    for percent in _BARS:
        value = found.at(percent)
        share = (log10(max(value, 1e-6)) - low) / (high - low) if high > low else 1.0
        name = "fastest" if percent == 0 else "slowest" if percent == 100 else f"p{percent:g}"
        lines.append(f"{name:>8}  {_milliseconds(value):>10}  {'█' * max(round(share * _WIDTH), 1)}")
    return lines


def summed_up(found: LoadResult, load: Load) -> list[str]:
    """Counts and failures, a line each."""
    asked = f"{load.rate:g} requests a second were asked for" if load.rate else "as fast as they were answered"
    lines = [f"{found.statuses[200]:,} answers in {found.seconds:.1f} s: {found.per_second:,.0f} a second ({asked})"]
    failed = {status: count for status, count in found.statuses.items() if status != 200}
    for status, count in sorted(failed.items()):
        what = f"were answered {status}" if status else "lost their connection"
        why = f", the first with: {found.refusals[status]}" if status in found.refusals else ""
        lines.append(f"{count:,} {what}{why}")
    if found.unanswered:
        lines.append(f"{found.unanswered:,} had no answer {PATIENCE:g} s after the end")
    return lines


class _Run:
    def __init__(self, request: bytes, load: Load) -> None:
        self.request = request
        self.load = load
        self.found = LoadResult()
        self.idle: deque[_Connection] = deque()
        self.due: deque[float] = deque()
        self.open = 0
        self.ends = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        self.connect: Callable[[], Awaitable[_Connection]]

    async def go(self, target: LoadTarget, body: bytes) -> LoadResult:
        loop, where = asyncio.get_running_loop(), f"{target.host}:{target.port}"
        named = (target.called or target.host) if target.tls else None

        async def connect() -> _Connection:
            _, made = await loop.create_connection(
                lambda: _Connection(self), target.host, target.port, ssl=target.tls, server_hostname=named
            )
            return made

        self.connect = connect
        try:
            for _ in range(self.load.connections):
                self.idle.append(await connect())
        except ssl.SSLError as error:
            hint = "A CA of your own is named by gateway.ca_config_map of the stack, and for --url by SSL_CERT_FILE."
            raise OperatorError(f"no TLS with {where} as {named}: {error}", hint, UNKNOWN) from None
        except OSError as error:
            raise OperatorError(f"nothing answers at {where}: {error}", exit_code=UNKNOWN) from None
        begun = time.monotonic()
        self.ends = begun + self.load.seconds
        if target.sign:
            self._start(self._sign_again(target, body))
        if self.load.rate:
            await self._pace(begun)
        else:
            for connection in list(self.idle):
                connection.send(begun)
            self.idle.clear()
            await asyncio.sleep(self.load.seconds)
        try:
            async with asyncio.timeout(PATIENCE):
                while self.open or (self.due and self.idle):
                    await asyncio.sleep(_TICK)
        except TimeoutError:
            self.found.unanswered = self.open
        for task in self.tasks:
            task.cancel()
        self.found.unanswered += len(self.due)
        self.found.seconds = time.monotonic() - begun
        self.found.latencies.sort()
        return self.found

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def lost(self) -> None:
        """Replace a connection that the server closed."""
        if time.monotonic() < self.ends:
            self._start(self._connect_again())

    async def _connect_again(self) -> None:
        while time.monotonic() < self.ends:
            try:
                return self.free(await self.connect())
            except OSError:
                self.found.statuses[0] += 1
                await asyncio.sleep(_RECONNECT_SECONDS)
        return None

    async def _sign_again(self, target: LoadTarget, body: bytes) -> None:
        """Replace the signature before it is too old, off the loop: new keys may have to be fetched."""
        while True:
            await asyncio.sleep(_SIGNED_SECONDS)
            with suppress(OperatorError):  # the old one may still do; if not, its refusals are counted
                self.request = await asyncio.to_thread(target.request, body)

    async def _pace(self, begun: float) -> None:
        sent = 0
        while (now := time.monotonic()) < self.ends:
            wanted = min(int((now - begun) * self.load.rate) + 1, ceil(self.load.rate * self.load.seconds))
            for number in range(sent, wanted):
                self.due.append(begun + number / self.load.rate)
            sent = max(sent, wanted)
            while self.due and self.idle:
                self.idle.popleft().send(self.due.popleft())
            await asyncio.sleep(max(begun + sent / self.load.rate - time.monotonic(), 0))

    def free(self, connection: _Connection) -> None:
        """Give a connection its next request."""
        if self.load.rate:
            if self.due:
                connection.send(self.due.popleft())
            else:
                self.idle.append(connection)
        elif (now := time.monotonic()) < self.ends:
            connection.send(now)


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._due = 0.0
        self._waiting = False
        self._read = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, due: float) -> None:
        self._due, self._waiting, self._read = due, True, b""
        self._run.open += 1
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        found, status = self._run.found, self._parser.get_status_code()
        self._run.open -= 1
        self._waiting = False
        found.latencies.append(time.monotonic() - self._due)
        found.statuses[status] += 1
        if status != 200 and status not in found.refusals:
            found.refusals[status] = _why(self._read.partition(b"\r\n\r\n")[2])
        if self._parser.should_keep_alive():
            self._run.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._run.open -= 1
            self._run.found.statuses[0] += 1
        if self in self._run.idle:
            self._run.idle.remove(self)
        self._run.lost()


def _why(body: bytes) -> str:
    text = " ".join(reasons(body.decode(errors="replace"))[0].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def as_dict(found: LoadResult) -> dict[str, Any]:
    """The results as JSON values; latencies in milliseconds."""
    return {
        "per_second": found.per_second,
        "seconds": found.seconds,
        "statuses": {str(status): count for status, count in sorted(found.statuses.items())},
        "refusals": {str(status): why for status, why in sorted(found.refusals.items())},
        "unanswered": found.unanswered,
        "latency_ms": {f"{percent:g}": found.at(percent) * 1000 for percent in _BARS},
    }
