"""HTTP interface of the controller: health, metrics, wakes, and storage of captures and labels.

No call waits for a rollout, and no rollout for a call. Uploads have their own threads; above their capacity the client
gets 503, and counts the loss. Health checks are answered even then.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitoring.log import log
from platforms.kubernetes.access_token import HEADER, secret_name
from platforms.kubernetes.metrics import ENDPOINT
from platforms.kubernetes.program.counts import CAPTURES, STORE, WAKES, Counts
from platforms.kubernetes.program.process import Process
from platforms.kubernetes.program.store import Store
from rollout.core.errors import Busy, RolloutError, Unreachable

MOST_BYTES, MOST_WAITING = 8 * 1024 * 1024, 16 * 1024 * 1024
"""Maximum bytes of one upload, and of all concurrent ones."""
MOST_CALLS = 64  # maximum number of concurrent authenticated calls
_WAKE_BYTES = 1024 * 1024
_BACKLOG = 128
_END_SECONDS = 2  # that calls under way have at the end
_BODY_SECONDS = 15.0  # for which a body is waited for
_MEASURED_SECONDS = 3.0  # for which the database is waited for; Prometheus waits 10 for all, by default
_KEEPERS, _ADMITTING = 4, 2  # threads that keep what is brought, and that look at tokens
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_AGAIN = {"Retry-After": "5"}

Admits = Callable[[str, str], bool]
"""Whether a token is that of an endpoint; raises RolloutError if it is unknown."""


def app(counts: Counts, process: Process, admits: Admits, store: Store | None) -> Starlette:
    """The ASGI application."""
    calls = _Calls(counts, process, admits, store)
    return Starlette(
        routes=[
            Route("/healthz", calls.healthz),
            Route("/readyz", calls.readyz),
            Route("/metrics", calls.metrics),
            Route("/wake", calls.wake, methods=["POST"]),
            Route("/captures/{endpoint}/{variant}", calls.captures, methods=["POST"]),
            Route("/labels/{endpoint}/{name}", calls.labels, methods=["POST"]),
            Route("/standings/{endpoint}", calls.standings),
            Route("/records/{endpoint}", calls.records),
            Route("/predictions/{endpoint}", calls.predictions),
        ],
        lifespan=calls.lifespan,
    )


class NoCall(ValueError):
    """The body is not a call of Alertmanager's webhook; the message says why."""


class _TooLarge(Exception):
    pass


class _Calls:
    def __init__(self, counts: Counts, process: Process, admits: Admits, store: Store | None) -> None:
        self._counts, self._process, self._admits, self._store = counts, process, admits, store
        self._keepers = ThreadPoolExecutor(_KEEPERS, "keeper")
        self._admitting = ThreadPoolExecutor(_ADMITTING, "admitting")
        self._reader = ThreadPoolExecutor(1, "metrics")
        self._looking: asyncio.Future[str] | None = None  # at what was measured
        self._calls = 0  # with a token, under way
        self._waiting = 0  # bytes that are being taken

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        for threads in (self._keepers, self._admitting, self._reader):
            threads.shutdown(wait=False, cancel_futures=True)

    async def healthz(self, _: Request) -> Response:
        return _told(self._process.alive())

    async def readyz(self, _: Request) -> Response:
        return _told(self._process.ready())

    async def metrics(self, _: Request) -> Response:
        """The controller's own metrics are served even if the database is down."""
        more = ""
        if self._store is not None:
            try:
                more = await self._measured(self._store.measured)
                self._counts.put(STORE, 1.0)
            except RolloutError as error:
                self._counts.put(STORE, 0.0)
                log("metrics not read", error=str(error))
        self._process.tell()
        return Response(self._counts.text() + more, media_type=_TEXT)

    async def _measured(self, measured: Callable[[], str]) -> str:
        """The database's metrics, by one query at a time; a late result is served at the next call.

        Raises:
            RolloutError: There is no result, or not in time.
        """
        looking = self._looking = self._looking or asyncio.get_running_loop().run_in_executor(self._reader, measured)
        await asyncio.wait([looking], timeout=_MEASURED_SECONDS)
        if not looking.done():
            raise Unreachable(f"the database did not answer within {_MEASURED_SECONDS:.0f} s")
        if looking is self._looking:
            self._looking = None
        return looking.result()

    async def wake(self, request: Request) -> Response:
        """Wake the endpoints of a call; unknown ones are skipped."""
        try:
            named = woken_endpoints(await _body(request, _WAKE_BYTES))
        except (_TooLarge, NoCall, TimeoutError) as error:
            return _refused(error)
        woken = [name for name in named if self._process.knows(name)]
        for name in woken:
            self._counts.add(WAKES, endpoint=name)
            self._process.wake(name)
        return PlainTextResponse("".join(f"{name}\n" for name in woken), status_code=202)

    async def captures(self, request: Request) -> Response:
        endpoint, variant = request.path_params["endpoint"], request.path_params["variant"]
        answer = await self._keep(request, lambda store, body: store.captures(endpoint, variant, body))
        if answer.status_code != 404:  # a name that nobody knows makes no series
            self._counts.add(CAPTURES, endpoint=endpoint, code=str(answer.status_code))
        return answer

    async def labels(self, request: Request) -> Response:
        endpoint, name = request.path_params["endpoint"], request.path_params["name"]
        return await self._keep(request, lambda store, body: store.labels(endpoint, name, body))

    async def standings(self, request: Request) -> Response:
        endpoint, variants = request.path_params["endpoint"], request.query_params.getlist("variant")
        return await self._read(request, lambda store: store.standings(endpoint, variants))

    async def records(self, request: Request) -> Response:
        endpoint, after = request.path_params["endpoint"], request.query_params.getlist("after")
        return await self._read(request, lambda store: store.records(endpoint, after))

    async def predictions(self, request: Request) -> Response:
        endpoint, asked = request.path_params["endpoint"], dict(request.query_params)
        return await self._read(request, lambda store: store.predictions(endpoint, asked))

    async def _read(self, request: Request, read: Callable[[Store], Any]) -> Response:
        async def answer(store: Store) -> Response:
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(self._keepers, read, store))

        return await self._admitted(request, answer)

    async def _keep(self, request: Request, keep: Callable[[Store, bytes], None]) -> Response:
        async def answer(store: Store) -> Response:
            size = request.headers.get("content-length", "")
            if not size.isdecimal():
                return PlainTextResponse("a post needs its length: Content-Length\n", status_code=411)
            with self._taking(int(size)):
                body = await _body(request, MOST_BYTES)
                await asyncio.get_running_loop().run_in_executor(self._keepers, keep, store, body)
            return Response(status_code=204)

        return await self._admitted(request, answer)

    async def _admitted(self, request: Request, answer: Callable[[Store], Awaitable[Response]]) -> Response:
        """The answer to a caller with the endpoint's token, or why there is none."""
        endpoint = request.path_params["endpoint"]
        if self._store is None:
            return PlainTextResponse("this controller has no database: set DATABASE_URL\n", status_code=404)
        if not self._process.knows(endpoint):
            return PlainTextResponse(f"there is no endpoint {endpoint!r} here\n", status_code=404)
        try:
            with self._counted():
                return await self._stranger(request, endpoint) or await answer(self._store)
        except (Busy, Unreachable) as error:
            return PlainTextResponse(f"{error}\n", status_code=503, headers=_AGAIN)
        except (RolloutError, _TooLarge, TimeoutError) as error:
            return _refused(error)

    async def _stranger(self, request: Request, endpoint: str) -> Response | None:
        """The response to a caller without the endpoint's token; None if the token is valid."""
        given = request.headers.get(HEADER, "")
        if await asyncio.get_running_loop().run_in_executor(self._admitting, self._admits, endpoint, given):
            return None
        why = f"the header {HEADER} must have the token of Secret {secret_name(endpoint)}\n"
        return PlainTextResponse(why, status_code=401)

    @contextmanager
    def _counted(self) -> Generator[None]:
        """Count a call; raise Busy if there are too many."""
        if self._calls >= MOST_CALLS:
            raise Busy("too many calls are under way")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextmanager
    def _taking(self, size: int) -> Generator[None]:
        """Reserve memory for an upload; raise _TooLarge or Busy if there is not enough."""
        if size > MOST_BYTES:
            raise _TooLarge(f"a post has at most {MOST_BYTES:,} bytes, this one has {size:,}")
        if self._waiting + size > MOST_WAITING:
            raise Busy("too much is brought at a time")
        self._waiting += size
        try:
            yield
        finally:
            self._waiting -= size


async def _body(request: Request, most: int) -> bytes:
    """The body of a request; raise _TooLarge or TimeoutError."""
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > most:
                    raise _TooLarge(f"a body has at most {most:,} bytes here")
    except ClientDisconnect as error:
        raise TimeoutError("the caller is gone") from error
    return bytes(content)


def _told(why: str) -> Response:
    return PlainTextResponse(f"{why or 'ok'}\n", status_code=503 if why else 200)


def _refused(error: Exception) -> Response:
    code = 413 if isinstance(error, _TooLarge) else 408 if isinstance(error, TimeoutError) else 400
    return PlainTextResponse(f"{error}\n", status_code=code)


def woken_endpoints(body: bytes) -> tuple[str, ...]:
    """The endpoints of the firing alerts in a call of Alertmanager's webhook, without duplicates; raises NoCall.

    The caller is not authenticated. So an alert's content is not trusted: it only says where to look.
    Source: Prometheus, Alertmanager, "webhook_config", version 4.
    """
    try:
        call: Any = json.loads(body)
    except ValueError as error:
        raise NoCall(f"the body is no JSON: {error}") from error
    alerts = call.get("alerts") if isinstance(call, Mapping) else None
    if not isinstance(alerts, list) or not all(isinstance(alert, Mapping) for alert in alerts):
        raise NoCall("the body has no list `alerts`; expected is Alertmanager's webhook, version 4")
    found = [_endpoint(alert) for alert in alerts if alert.get("status", "firing") == "firing"]
    return tuple(dict.fromkeys(name for name in found if name))


def _endpoint(alert: Mapping[str, Any]) -> str:
    labels = alert.get("labels")
    name = labels.get(ENDPOINT) if isinstance(labels, Mapping) else None
    return name if isinstance(name, str) else ""


class NotListening(Exception):
    """The port cannot be bound; the message says why."""


@dataclass(frozen=True)
class Listening:
    """A running server."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    @classmethod
    def at(cls, host: str, port: int, app: Any) -> Listening:
        """Start an ASGI application at an address, empty for all, and a port, 0 for a free one; raises NotListening."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise NotListening(f"BIND_HOST {host}, PORT {port}: {error}") from error
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="listening", daemon=True)
        thread.start()
        return cls(server, thread, bound.getsockname()[1])

    def stop(self, seconds: float) -> None:
        """Accept no more requests, and let current ones finish."""
        self.server.should_exit = True
        self.thread.join(seconds)
