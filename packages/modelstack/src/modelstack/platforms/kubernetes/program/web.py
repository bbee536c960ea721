"""HTTP interface of the controller: health, metrics, wakes, and storage of captures and labels.

No call waits for a rollout, and no rollout for a call. Uploads have their own threads; above their capacity the client
gets 503, and counts the loss. Health checks are answered even then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.access_token import BEARER, HEADER, secret_name
from modelstack.platforms.kubernetes.program.counts import CAPTURES, STORE, WAKES, Counts
from modelstack.platforms.kubernetes.program.process import Process
from modelstack.platforms.kubernetes.program.store import Store
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

MOST_BYTES, MOST_WAITING = 8 * 1024 * 1024, 16 * 1024 * 1024
"""Maximum bytes of one upload, and of all concurrent ones."""
MOST_CALLS = 64  # maximum number of concurrent authenticated calls
_FRESH_SECONDS = 1.0  # for which the database's metrics are served again
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
            Route("/wake/{endpoint}", calls.wake, methods=["POST"]),
            Route("/captures/{endpoint}/{variant}", calls.captures, methods=["POST"]),
            Route("/labels/{endpoint}/{name}", calls.labels, methods=["POST"]),
            Route("/standings/{endpoint}", calls.standings),
            Route("/records/{endpoint}", calls.records),
            Route("/predictions/{endpoint}", calls.predictions),
        ],
        lifespan=calls.lifespan,
    )


class _TooLarge(Exception):
    pass


class _Calls:
    def __init__(self, counts: Counts, process: Process, admits: Admits, store: Store | None) -> None:
        self._counts, self._process, self._admits, self._store = counts, process, admits, store
        self._keepers = ThreadPoolExecutor(_KEEPERS, "keeper")
        self._admitting = ThreadPoolExecutor(_ADMITTING, "admitting")
        self._reader = ThreadPoolExecutor(1, "metrics")
        self._looking: asyncio.Future[str] | None = None  # at what was measured
        self._seen, self._looked_at = "", float("-inf")  # the last result, and when it came
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
        """The database's metrics, by one query at a time, once a second; a late result is served at the next call.

        Raises:
            RolloutError: There is no result, or not in time.
        """
        loop = asyncio.get_running_loop()
        if self._looking is None and loop.time() - self._looked_at < _FRESH_SECONDS:
            return self._seen
        looking = self._looking = self._looking or loop.run_in_executor(self._reader, measured)
        await asyncio.wait([looking], timeout=_MEASURED_SECONDS)
        if not looking.done():
            raise Unreachable(f"the database did not answer within {_MEASURED_SECONDS:.0f} s")
        if looking is self._looking:
            self._looking = None
        self._seen, self._looked_at = looking.result(), loop.time()
        return self._seen

    async def wake(self, request: Request) -> Response:
        """Wake an endpoint. The body is not read: the alarms are those of Prometheus, and the journal decides."""
        endpoint = request.path_params["endpoint"]

        async def answer() -> Response:
            self._counts.add(WAKES, endpoint=endpoint)
            self._process.wake(endpoint)
            return Response(status_code=202)

        return await self._admitted(request, answer)

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

        return await self._stored(request, answer)

    async def _keep(self, request: Request, keep: Callable[[Store, bytes], None]) -> Response:
        async def answer(store: Store) -> Response:
            size = request.headers.get("content-length", "")
            if not size.isdecimal():
                return PlainTextResponse("a post needs its length: Content-Length\n", status_code=411)
            with self._taking(int(size)):
                body = await request.body()
                await asyncio.get_running_loop().run_in_executor(self._keepers, keep, store, body)
            return Response(status_code=204)

        return await self._stored(request, answer)

    async def _stored(self, request: Request, answer: Callable[[Store], Awaitable[Response]]) -> Response:
        """As `_admitted`, for calls that need the database, of which only so many are under way."""
        store = self._store
        if store is None:
            return PlainTextResponse("this controller has no database: set DATABASE_URL\n", status_code=404)
        try:
            with self._counted():
                return await self._admitted(request, lambda: answer(store))
        except Busy as error:
            return PlainTextResponse(f"{error}\n", status_code=503, headers=_AGAIN)

    async def _admitted(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        """The answer to a caller with the endpoint's token, or why there is none."""
        endpoint = request.path_params["endpoint"]
        if not self._process.knows(endpoint):
            return PlainTextResponse(f"there is no endpoint {endpoint!r} here\n", status_code=404)
        try:
            return await self._stranger(request, endpoint) or await answer()
        except (Busy, Unreachable) as error:
            return PlainTextResponse(f"{error}\n", status_code=503, headers=_AGAIN)
        except _TooLarge as error:
            return PlainTextResponse(f"{error}\n", status_code=413)
        except ClientDisconnect:
            return Response(status_code=408)
        except RolloutError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)

    async def _stranger(self, request: Request, endpoint: str) -> Response | None:
        """The response to a caller without the endpoint's token; None if the token is valid."""
        bearer = request.headers.get("authorization", "").removeprefix(BEARER)
        given = request.headers.get(HEADER, bearer)
        if await asyncio.get_running_loop().run_in_executor(self._admitting, self._admits, endpoint, given):
            return None
        why = f"the header {HEADER}, or Authorization with {BEARER!r}, must have the token of Secret "
        return PlainTextResponse(f"{why}{secret_name(endpoint)}\n", status_code=401)

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


def _told(why: str) -> Response:
    return PlainTextResponse(f"{why or 'ok'}\n", status_code=503 if why else 200)
