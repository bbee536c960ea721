"""The paths of the server, see docs/reference/serving.md."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from modelstack.serving import open_inference
from modelstack.serving.answers import Answers, WrongAnswers
from modelstack.serving.batches import Batches, Failure, Full, PendingRows
from modelstack.serving.declaration import Declaration
from modelstack.serving.exchange import JSON, Exchange
from modelstack.serving.failures import FailureLog
from modelstack.serving.instances import BadRequest, Reader, Rows, shown
from modelstack.serving.metrics import Counts
from modelstack.serving.promise import Promise
from modelstack.serving.tables import csv_rows, npy_rows

CSV, NPY = b"text/csv", b"application/x-npy"
METRICS_TYPE = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
_KINDS = {400: "bad_request", 404: "not_found", 405: "not_found", 408: "slow_client"}
_KINDS |= {413: "too_large", 415: "media_type", 431: "too_large", 503: "overloaded"}
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_VALUE = 32  # bytes of memory of a number in a row
_encode = msgspec.json.Encoder().encode

Encoded = tuple[bytes, bytes, bytes]
"""The body of an answer, its media type, and further header lines."""


@dataclass(frozen=True)
class Served:
    """The model, its declaration, the answer of `/metadata`, its answer to the sealed example, and the check."""

    name: str
    version: str
    declared: Declaration
    about: Mapping[str, Any]
    example: Answers
    promise: Promise


class Routes:
    """Answers the requests of one process; `captured` gets each answered request, its answer, media type and rows."""

    def __init__(
        self,
        served: Served,
        batches: Batches,
        counts: Counts,
        exposition: Callable[[], str],
        log: FailureLog,
        *,
        captured: Callable[[Exchange, bytes, bytes, Rows], None] | None = None,
    ) -> None:
        self._served = served
        self._batches = batches
        self._counts = counts
        self._log = log
        self._captured = captured
        self._reader = Reader(served.declared)
        model = b"/v2/models/" + served.name.encode()
        models = (model, model + b"/versions/" + served.version.encode())
        self._posts: dict[bytes, Callable[[Exchange], None]] = {b"/invocations": self._invocations}
        self._posts |= {path + b"/infer": self._infer for path in models}
        about = open_inference.metadata(served.name, served.version, served.declared, served.example)
        server = {"name": "modelstack", "version": "1", "extensions": ["binary_tensor_data"]}
        documents: dict[bytes, Any] = {
            b"/ping": {"status": "ready"},
            b"/metadata": dict(served.about),
            b"/v2": server,
            b"/v2/health/live": {"live": True},
            b"/v2/health/ready": {"ready": True},
            **dict.fromkeys(models, about),
            **{path + b"/ready": {"name": served.name, "ready": True} for path in models},
        }
        self._gets = {path: _encode(document) for path, document in documents.items()}
        self._exposition = exposition

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or when its batch has run."""
        try:
            post = self._posts.get(exchange.path)
            if post is not None and exchange.method == b"POST":
                if b"content-encoding" in exchange.headers:
                    _check_encoding(exchange)
                post(exchange)
            else:
                self._get(exchange, post is not None)
        except BadRequest as error:
            self._refuse(exchange, error)
        except Full:
            self._fail(exchange, Failure(503, "overloaded", "too many requests wait: send it again in a second"))
        except Exception as error:
            self._fail(exchange, _unexpected(error))

    def _get(self, exchange: Exchange, posts: bool) -> None:
        if exchange.method in (b"GET", b"HEAD") and exchange.path in self._gets:
            exchange.answer(200, self._gets[exchange.path])
        elif exchange.method in (b"GET", b"HEAD") and exchange.path == b"/metrics":
            exchange.answer(200, self._exposition().encode(), METRICS_TYPE)
        elif posts or exchange.path in (*self._gets, b"/metrics"):
            allowed = b"POST" if posts else b"GET, HEAD"
            problem = f"method {_text(exchange.method)} is not allowed: expected {allowed.decode()}"
            self._refuse(exchange, BadRequest(405, problem), b"Allow: " + allowed + b"\r\n")
        else:
            known = ", ".join(sorted(_text(path) for path in (*self._posts, *self._gets, b"/metrics")))
            raise BadRequest(404, f"there is no path {shown(_text(exchange.path))}: expected one of {known}")

    def refused(self, status: int, problem: str) -> bytes:
        """The body of an answer to a request that could not be read."""
        kind = _KINDS[status]
        self._counts.failed(kind)
        self._log.write(status, kind, problem)
        return _encode({"error": problem, "problems": [problem]})

    def _invocations(self, exchange: Exchange) -> None:
        self._predict(exchange, self._rows(exchange), _predictions)

    def _rows(self, exchange: Exchange) -> Rows:
        given = exchange.headers.get(b"content-type", b"")
        if given == JSON:
            return self._reader.json(exchange.body)
        kind = given.partition(b";")[0].strip().lower()
        if kind == JSON:
            return self._reader.json(exchange.body)
        declared = self._served.declared
        if kind == CSV and not declared.nested:
            return csv_rows(self._reader, declared, exchange.body)
        if kind == NPY and declared.numeric:
            return npy_rows(self._reader, declared, exchange.body)
        allowed = [JSON, *([] if declared.nested else [CSV]), *([NPY] if declared.numeric else [])]
        expected = " or ".join(one.decode() for one in allowed)
        raise BadRequest(415, f"content type {_text(given)[:100] or 'none'!r} is not allowed: expected {expected}")

    def _infer(self, exchange: Exchange) -> None:
        head_length = exchange.headers.get(b"inference-header-content-length")
        rows, wanted = open_inference.infer(self._reader, self._served.declared, head_length, exchange.body)

        def encode(found: Answers, first: int, end: int) -> Encoded:
            name, version = self._served.name, self._served.version
            body, length = open_inference.response(name, version, wanted, found, first=first, end=end)
            if length is None:
                return body, JSON, b""
            return body, b"application/octet-stream", b"Inference-Header-Content-Length: %d\r\n" % length

        self._predict(exchange, rows, encode)

    def _predict(self, exchange: Exchange, rows: Rows, encode: Callable[[Answers, int, int], Encoded]) -> None:
        def reply(found: Answers | Failure, first: int, end: int) -> None:
            try:
                if isinstance(found, Failure):
                    self._fail(exchange, found)
                else:
                    self._answer(exchange, rows, *encode(found, first, end))
            except BadRequest as error:
                self._refuse(exchange, error)
            except WrongAnswers as error:
                cause = error.__cause__
                self._fail(exchange, Failure(500, "model", str(error), cause if isinstance(cause, Exception) else None))
            except Exception as error:
                self._fail(exchange, _unexpected(error))

        self._batches.submit(PendingRows(rows, exchange.begun, reply, _size(exchange, rows)))

    def _answer(self, exchange: Exchange, rows: Rows, body: bytes, kind: bytes, also: bytes) -> None:
        exchange.answer(200, body, kind, also + _trace(exchange) if b"traceparent" in exchange.headers else also)
        self._counts.answered(len(rows), time.monotonic() - exchange.begun)
        if self._captured is not None:
            try:
                self._captured(exchange, body, kind, rows)
            except Exception as error:  # the client has its answer
                self._counts.add("capture_failed")
                self._log.write(500, "internal", f"capture: {type(error).__name__}", exchange, error)

    def _refuse(self, exchange: Exchange, error: BadRequest, also: bytes = b"") -> None:
        kind = _KINDS[error.status]
        self._counts.failed(kind)
        self._log.write(error.status, kind, error.problems[0], exchange)
        body = _encode({"error": error.problems[0], "problems": error.problems})
        exchange.answer(error.status, body, JSON, also + _trace(exchange))

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        self._counts.failed(failure.kind)
        self._log.write(failure.status, failure.kind, failure.reason, exchange, failure.error)
        also = b"Retry-After: 1\r\n" if failure.status == 503 else b""
        exchange.answer(failure.status, _encode({"error": failure.reason}), JSON, also + _trace(exchange))


def _predictions(found: Answers, first: int, end: int) -> Encoded:
    try:
        return _encode({"predictions": found.documents(first, end)}), JSON, b""
    except Exception as error:
        raise WrongAnswers(f"predict returned what is no JSON: {error}") from error


def _size(exchange: Exchange, rows: Rows) -> int:
    return len(exchange.body) + _VALUE * len(rows.values) * len(rows.names) + rows.nbytes


def _unexpected(error: Exception) -> Failure:
    """The type alone is given: the message may hold what the caller sent."""
    return Failure(500, "internal", f"the server raised {type(error).__name__}", error)


def _check_encoding(exchange: Exchange) -> None:
    encoding = exchange.headers.get(b"content-encoding", b"")
    if encoding.lower() not in (b"", b"identity"):
        found = shown(_text(encoding))
        raise BadRequest(415, f"content encoding {found} is not allowed: expected a body that is not compressed")


def _trace(exchange: Exchange) -> bytes:
    """The caller's trace context (W3C), passed on."""
    given = exchange.headers.get(b"traceparent", b"")
    if not _TRACE.fullmatch(given):
        return b""
    state = exchange.headers.get(b"tracestate", b"")
    also = b"tracestate: " + state + b"\r\n" if state and len(state) <= 512 else b""
    return b"traceparent: " + given + b"\r\n" + also


def _text(given: bytes) -> str:
    return given.decode("latin-1")
