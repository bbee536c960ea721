"""How many requests a second the counting of answers and labels keeps up with, by the CPU that it takes.

Captured answers and their labels are put where an endpoint and a sender put them, in files as they come at 100 requests
a second. The stack's own functions count them, called by the local cloud. All CPU is measured, the cloud's included:
it is the database that the functions write to.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench import ROOT
from bench.bed import Bed, BenchError
from bench.idle import cpu_of, family
from bench.rows import Row, sized
from modelstack.cli.invoke import answer_of
from modelstack.cli.platform.aws.measured import totals
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.platforms.aws.names import CAPTURE, LABELS
from modelstack.rollout.core.catalogue import INVALID, OWN
from modelstack.services.invoke import Request

_RATE = 100
_SECONDS = 120
_CAPTURE_S, _LABELS_S = 3, 1  # how often the local endpoint uploads a file, and `modelstack replay` labels
_PATIENCE_S = 1200.0


def rows(bed: Bed) -> list[Row]:
    """Requests a second that one core counts, with labels; the other one of two then has its time to answer them."""
    target, seconds = bed.target(), sized(_SECONDS, 6)
    answers = seconds * _RATE
    before = _counted(target)
    begun = {item.pid: cpu_of(item) for item in family(bed.pid)}
    for key, body in _files(target, seconds):
        target.client("s3").put_object(Bucket=target.output("artifact_bucket"), Key=key, Body=body)
    until = time.monotonic() + _PATIENCE_S
    while _counted(target) < before + 2 * answers:
        if time.monotonic() > until:
            raise BenchError(f"{_counted(target) - before:,.0f} of {2 * answers:,} answers and labels were counted")
        time.sleep(1)
    used = sum(cpu_of(item) - begun.get(item.pid, 0.0) for item in family(bed.pid))
    peer = f"{answers:,} answers with labels, {1000 * used / answers:.2f} CPU seconds per 1,000, the cloud's included"
    return [Row("counted_per_second", round(answers / used), "requests a second and core", ">= 100", peer)]


def _counted(target: Target) -> float:
    """Answers that were held against the contract, and those that were joined with a label."""
    stats = {INVALID: "SampleCount", "Accuracy": "SampleCount"}
    return sum(totals(target, OWN, stats, 60, 3600).values())


def _files(target: Target, seconds: int) -> Iterator[tuple[str, bytes]]:
    """Keys and content of what comes within so many seconds."""
    asked = (ROOT / "model" / "example_request.json").read_bytes()
    endpoint = target.endpoint
    answer = answer_of(platform_of(target).invoke(), Request(asked, inference_id="probe-bench"))
    variant, answered = answer.variant, answer.body.decode()
    names = [uuid.uuid4().hex for _ in range(seconds * _RATE)]
    folder = f"{CAPTURE}/{endpoint}/{variant}/{datetime.now(UTC):%Y/%m/%d/%H}"
    lines = [_line(name, asked.decode(), answered) for name in names]
    labels = [json.dumps({"inference_id": name, "label": True}) for name in names]
    for place, some, every in ((folder, lines, _CAPTURE_S), (LABELS, labels, _LABELS_S)):
        for start in range(0, len(some), every * _RATE):
            part = "\n".join(some[start : start + every * _RATE])
            yield f"{place}/{start:07}-{uuid.uuid4().hex}.jsonl", part.encode()


def _line(name: str, asked: str, answered: str) -> str:
    def side(data: str) -> dict[str, str]:
        return {"observedContentType": "application/json", "data": data, "encoding": "JSON"}

    meta = {"eventId": name, "inferenceId": name, "inferenceTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    record: dict[str, Any] = {"captureData": {"endpointInput": side(asked), "endpointOutput": side(answered)}}
    return json.dumps({**record, "eventMetadata": meta, "eventVersion": "0"})
