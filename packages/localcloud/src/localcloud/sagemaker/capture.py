"""What did clients ask and what was answered? Captured data, in SageMaker's JSON Lines and key layout.

Each record is appended to a file beside the state before its answer is sent, and files go to S3 every few seconds. So a
killed server loses nothing: its files are uploaded at the next start, under the key that they would have had. A power
failure may lose the records of the last interval, because files are not synced to the disk.

As on AWS, only answers with a 2XX status are captured. A record that the disk does not take is dropped with a warning;
serving goes on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from localcloud.server import background

_SUFFIX = ".jsonl"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exchange:
    """One invocation, as far as it may be captured.

    Attributes:
        endpoint: EndpointName.
        variant: Name of the variant that answered.
        time: Epoch seconds.
        request: Content type and body of the request.
        reply: Content type and body of the answer.
        inference_id: X-Amzn-SageMaker-Inference-Id, or None.
        custom_attributes: X-Amzn-SageMaker-Custom-Attributes, or None.
    """

    endpoint: str
    variant: str
    time: float
    request: tuple[str, bytes]
    reply: tuple[str, bytes]
    inference_id: str | None = None
    custom_attributes: str | None = None


@dataclass
class _Spool:
    """A file that is being filled: the records of one variant in one hour since the last upload."""

    file: TextIO
    path: Path
    hour: str


class Capture:
    """Writes records to files, and files to S3.

    Args:
        folder: Where files wait for their upload; on the disk of the state.
        s3: Answers a boto3 S3 client; blocks.
        interval: Seconds between uploads.
    """

    def __init__(self, folder: Path, s3: Callable[[], Any], interval: float) -> None:
        self._folder = folder
        self._s3 = s3
        self._interval = interval
        self._spools: dict[tuple[str, str], _Spool] = {}
        self._full: list[Path] = []
        self._uploads = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take up what an earlier server left, and begin to upload."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._full = sorted(self._folder.glob(f"*{_SUFFIX}"))
        self._task = background.begin(self._run(), "upload of captured data")

    async def stop(self) -> None:
        """Upload everything."""
        self._stopping.set()
        if self._task is not None:
            await self._task  # in the middle of an upload it goes on to its end: a thread can't be cancelled
        await self.flush()

    def record(self, config: dict[str, Any] | None, exchange: Exchange) -> None:
        """Capture an exchange if the endpoint's DataCaptureConfig says so; returns when the record is in its file."""
        if not config or not config.get("EnableCapture", True):
            return
        if random.random() * 100 >= config["InitialSamplingPercentage"]:  # noqa: S311 - sampling needs no secrets
            return
        try:
            self._append(config, exchange, json.dumps(_record(config, exchange), separators=(",", ":")))
        except OSError as error:
            _log.warning("a record of %s was not captured: %s", exchange.endpoint, error)

    async def flush(self) -> None:
        """Upload all files; those that S3 does not take wait on."""
        async with self._uploads:
            for spool in self._spools.values():
                self._close(spool)
            self._spools.clear()
            for path in list(self._full):
                if await asyncio.to_thread(self._upload, path):
                    self._full.remove(path)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._interval)
            with background.log_errors("an upload of captured data"):
                await self.flush()

    def _append(self, config: dict[str, Any], exchange: Exchange, line: str) -> None:
        moment = datetime.fromtimestamp(exchange.time, UTC)
        hour = moment.strftime("%Y/%m/%d/%H")
        variant = exchange.endpoint, exchange.variant
        spool = self._spools.get(variant)
        if spool is not None and spool.hour != hour:
            self._close(self._spools.pop(variant))
            spool = None
        if spool is None:
            spool = self._spools[variant] = self._open(config, exchange, moment, hour)
        spool.file.write(line + "\n")
        spool.file.flush()

    def _open(self, config: dict[str, Any], exchange: Exchange, moment: datetime, hour: str) -> _Spool:
        """Begin a file whose first line says where it goes, so that any later server can upload it."""
        identity = uuid.uuid4()
        destination = urlsplit(config["DestinationS3Uri"])
        clock = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}"
        folders = [destination.path.strip("/"), exchange.endpoint, exchange.variant, hour]
        key = "/".join([part for part in folders if part] + [f"{clock}-{identity}{_SUFFIX}"])
        path = self._folder / f"{moment:%Y%m%d%H%M%S}-{identity}{_SUFFIX}"
        file = path.open("w", encoding="utf-8")
        header = {"bucket": destination.netloc, "key": key, "kms": config.get("KmsKeyId")}
        file.write(json.dumps(header) + "\n")
        return _Spool(file, path, hour)

    def _close(self, spool: _Spool) -> None:
        with contextlib.suppress(OSError):
            spool.file.close()
        self._full.append(spool.path)

    def _upload(self, path: Path) -> bool:
        try:
            header, _, records = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            _log.warning("captured data is lost, somebody removed %s", path)
            return True
        # A killed server may have left half a line; its request was never answered.
        whole = records[: records.rfind(b"\n") + 1]
        try:
            if whole:
                to = json.loads(header)
                encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": to["kms"]} if to["kms"] else {}
                self._s3().put_object(Bucket=to["bucket"], Key=to["key"], Body=whole, **encryption)
        except Exception as error:  # one file must not keep the others here
            _log.warning("S3 did not take captured data, %s waits: %s", path, error)
            return False
        path.unlink(missing_ok=True)
        return True


def _record(config: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    captured: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        captured["endpointInput"] = _side(config, "INPUT", *exchange.request)
    if modes & {"Output", "InputAndOutput"}:
        captured["endpointOutput"] = _side(config, "OUTPUT", *exchange.reply)
    event: dict[str, Any] = {"eventId": str(uuid.uuid4())}
    if exchange.custom_attributes is not None:
        event["customAttributes"] = [exchange.custom_attributes]
    if exchange.inference_id is not None:
        event["inferenceId"] = exchange.inference_id
    event["inferenceTime"] = datetime.fromtimestamp(exchange.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"captureData": captured, "eventMetadata": event, "eventVersion": "0"}


def _side(config: dict[str, Any], mode: str, content_type: str, body: bytes) -> dict[str, str]:
    data, encoding = _encode(config.get("CaptureContentTypeHeader", {}), content_type, body)
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def _encode(headers: dict[str, list[str]], content_type: str, body: bytes) -> tuple[str, str]:
    media = content_type.partition(";")[0].strip().lower()
    for encoding, known in (("CSV", headers.get("CsvContentTypes", [])), ("JSON", headers.get("JsonContentTypes", []))):
        if media in {name.lower() for name in known}:
            try:
                return body.decode("utf-8"), encoding
            except UnicodeDecodeError:
                break
    return base64.b64encode(body).decode("ascii"), "BASE64"
