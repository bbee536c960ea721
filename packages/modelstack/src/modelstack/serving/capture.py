"""Captures a sample of requests and answers for monitors, off the request's path.

Records are lines of JSON in the form of SageMaker's data capture, for platforms without their own. What is not written
when a process crashes is lost.
"""

from __future__ import annotations

import base64
import random
import sys
import threading
import time
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelstack.serving.declaration import Declaration
from modelstack.serving.exchange import JSON, Exchange
from modelstack.serving.instances import Rows
from modelstack.serving.metrics import Counts
from modelstack.serving.summaries import documents

MOST_RECORDS, MOST_BYTES = 10_000, 64 * 1024 * 1024
"""Limits of the queue."""
MOST_POSTED = 4 * 1024 * 1024
"""Bytes of one POST, because a server refuses a body that is too large as a whole."""
EVERY = 1.0
"""Seconds between two writes."""
LAST = 5.0
"""Seconds for the last write at a drain."""
_SECONDS = 10.0  # timeout of one write
_INFERENCE_ID, _ATTRIBUTES = b"x-amzn-sagemaker-inference-id", b"x-amzn-sagemaker-custom-attributes"
_HEADER = "x-modelstack-token"
_LONGEST = 1024  # characters of attributes, as in SageMaker

Sink = Callable[[bytes, datetime], None]
"""Writes lines, given the time of the first; blocks, and raises an error when it fails."""


class CaptureRefused(Exception):
    """`MODELSTACK_CAPTURE` has no known sink; the message lists those that exist."""


@dataclass(frozen=True)
class _Record:
    request: bytes | Rows
    kind: bytes
    answer: bytes
    answer_kind: bytes
    inference_id: bytes
    attributes: bytes
    at: float
    size: int


class Capture:
    """Queues records on the event loop and writes them in a thread; `percent` is 0 to 100.

    A request is kept as it was sent, unless a feature of `declared` has summaries: then its instances, with them.
    """

    def __init__(self, sink: Sink, percent: float, counts: Counts, declared: Declaration | None = None) -> None:
        self._sink = sink
        self._share = percent / 100
        self._watched = declared.features if declared and declared.watched else ()
        self._counts = counts
        self._waiting: deque[_Record] = deque()
        self._taken = self._written = 0  # bytes; one is counted on the loop, the other in the thread
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, name="capture", daemon=True)
        self._thread.start()

    def offer(self, exchange: Exchange, answer: bytes, kind: bytes, rows: Rows | None = None) -> None:
        """Queue a request and its answer, if it is in the sample; a full queue drops and counts it."""
        if self._share < 1 and random.random() >= self._share:  # noqa: S311  a sample, and no secret
            return
        summed = rows if self._watched else None
        size = len(exchange.body) + len(answer) + (summed.nbytes if summed else 0)
        if len(self._waiting) >= MOST_RECORDS or self._taken - self._written + size > MOST_BYTES:
            self._counts.add("capture_dropped")
            return
        self._taken += size
        headers = exchange.headers
        given, named = headers.get(b"content-type", b""), headers.get(_INFERENCE_ID, b"")
        attributes = headers.get(_ATTRIBUTES, b"")[:_LONGEST]
        request, given = (summed, JSON) if summed else (exchange.body, given)
        self._waiting.append(_Record(request, given, answer, kind, named, attributes, time.time(), size))

    def end(self) -> None:
        """Write what is queued."""
        self._ending.set()
        self._thread.join(LAST)

    def _write(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(EVERY)
            records = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not records:
                continue
            try:
                lines = b"".join(_line(one, self._request(one)) for one in records)
                self._sink(lines, datetime.fromtimestamp(records[0].at, UTC))
            except Exception as error:  # a failing sink must not affect requests
                self._counts.add("capture_failed", len(records))
                text = f"{len(records)} captures could not be written: {type(error).__name__}: {error}"
                sys.stderr.write(msgspec.json.encode({"event": "capture failed", "text": text}).decode() + "\n")
            else:
                self._counts.add("captured", len(records))
            self._written += sum(one.size for one in records)

    def _request(self, record: _Record) -> bytes:
        if isinstance(record.request, bytes):
            return record.request
        return msgspec.json.encode({"instances": documents(record.request, self._watched)})


def sink(url: str, token: str = "", opener: Callable[..., Any] = urllib.request.urlopen) -> Sink:
    """The sink that a URL names, or CaptureRefused; `token` is sent with POSTs in the header `x-modelstack-token`."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return _Folder(Path(parts.path))
    if parts.scheme in ("http", "https") and parts.netloc:
        return _Post(url, token, opener)
    if parts.scheme == "s3" and parts.netloc:
        try:
            client = import_module("boto3").client("s3")
        except ModuleNotFoundError:
            raise CaptureRefused(
                f"MODELSTACK_CAPTURE is {url!r}, and boto3 is not in this image: add it to requirements/serving.in"
            ) from None
        return _Bucket(client, parts.netloc, parts.path.strip("/"))
    raise CaptureRefused(
        f"MODELSTACK_CAPTURE is {url!r}: expected file:///FOLDER, http(s)://HOST/PATH or s3://BUCKET/PREFIX"
    )


@dataclass(frozen=True)
class _Folder:
    folder: Path

    def __call__(self, lines: bytes, at: datetime) -> None:
        path = self.folder / _name(at)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(lines)
        partial.rename(path)


@dataclass(frozen=True)
class _Post:
    url: str
    token: str
    opener: Callable[..., Any]

    def __call__(self, lines: bytes, at: datetime) -> None:
        """Post them in parts; a refused part stops none after it."""
        failure: Exception | None = None
        headers = {"Content-Type": "application/x-ndjson", **({_HEADER: self.token} if self.token else {})}
        for part in _parts(lines):
            request = urllib.request.Request(self.url, part, headers)  # noqa: S310
            try:
                with self.opener(request, timeout=_SECONDS) as answer:
                    answer.read()
            except Exception as error:
                failure = error
        if failure is not None:
            raise failure


@dataclass(frozen=True)
class _Bucket:
    client: Any
    bucket: str
    prefix: str

    def __call__(self, lines: bytes, at: datetime) -> None:
        key = "/".join(filter(None, (self.prefix, _name(at))))
        self.client.put_object(Bucket=self.bucket, Key=key, Body=lines)


def _parts(lines: bytes) -> Iterator[bytes]:
    """Whole lines up to `MOST_POSTED` bytes; a longer line is a part of its own."""
    start = 0
    while start < len(lines):
        end = len(lines)
        if end - start > MOST_POSTED:
            end = lines.rfind(b"\n", start, start + MOST_POSTED) + 1 or lines.find(b"\n", start) + 1 or end
        yield lines[start:end]
        start = end


def _name(at: datetime) -> str:
    return f"{at:%Y/%m/%d/%H}/{at:%M-%S}-{uuid.uuid4()}.jsonl"


def _line(record: _Record, request: bytes) -> bytes:
    metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
    if record.inference_id:
        metadata["inferenceId"] = record.inference_id.decode("latin-1")
    if record.attributes:
        metadata["customAttributes"] = [record.attributes.decode("latin-1")]
    metadata["inferenceTime"] = datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {
        "endpointInput": _part("INPUT", record.kind, request),
        "endpointOutput": _part("OUTPUT", record.answer_kind, record.answer),
    }
    return msgspec.json.encode({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + b"\n"


def _part(mode: str, kind: bytes, data: bytes) -> dict[str, str]:
    told = kind.decode("latin-1")
    plain = kind.partition(b";")[0].strip().lower()
    encoding = {b"application/json": "JSON", b"text/csv": "CSV"}.get(plain, "BASE64")
    try:
        text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode()
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(data).decode()
    return {"observedContentType": told, "mode": mode, "data": text, "encoding": encoding}
