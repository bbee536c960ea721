"""How long does `modelstack trace ID` take among a million captured predictions, and how much memory?

The captures of a day are put where the endpoint of stack `local` puts them; its functions are not told, as they would
count for hours. Of what the labels function stores, each file's beginnings of ids are put too, except for the last ten
files, which it has not read yet. What is measured is the whole command, as a person types it: it asks Pulumi for the
stack, looks for the prediction, reads the audit record, and verifies what is signed of the package.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench import ROOT
from bench.bed import Bed, BenchError
from bench.rows import Row, sized
from modelstack.cli.invoke import answer_of
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.monitoring.exchanges import read
from modelstack.monitoring.labels.pairs import Batch, CapturedAnswer, captures_once
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.names import CAPTURE, documents
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.services.batches import Batches
from modelstack.services.invoke import Request, Response
from modelstack.services.ledger import DocumentLedger

_PREDICTIONS, _OF_A_FILE = 1_000_000, 300
_REPEATS = 3
_AT_ONCE = 4
_NOT_YET_READ = 10
_COMMAND = """
import atexit, re, sys
atexit.register(lambda: sys.stderr.write(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
from modelstack.cli.main import main
main()
"""  # `modelstack`, which says at its end how much memory it took: `ru_maxrss` may be that of who started it
_EVENT, _INFERENCE, _AT = "{event}", "{inference}", "{at}"  # what of a line is another one in each


@dataclass(frozen=True, order=True)
class _Took:
    """A command: seconds, those of a processor that it and what it started took, and the most memory of its own, MB."""

    seconds: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.cpu:.2f} of a processor"


def rows(bed: Bed) -> list[Row]:
    """Seconds of the command: with an hour to look in, without, and of an id that the ledger has."""
    target, files = bed.target(), max(sized(_PREDICTIONS, 20_000) // _OF_A_FILE, 1)
    variant = _asked(target).variant
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    named = _put(target, variant, first, files)
    known = _in_the_ledger(target, variant)
    in_an_hour = [_typed(bed, name, "--at", f"{at:%Y-%m-%dT%H:%M:%S}") for name, at in _among(named)]
    oldest = [_typed(bed, named[0][0]) for _ in range(sized(_REPEATS, 1))]
    of_ledger = [_typed(bed, known) for _ in range(sized(_REPEATS, 1))]
    looked, everything, told = (statistics.median_low(each) for each in (in_an_hour, oldest, of_ledger))
    more = max(one.memory for one in oldest) - max(one.memory for one in of_ledger)
    among = f"among {files * _OF_A_FILE:,} captured predictions of a day in {files:,} files"
    return [
        Row("trace_s", round(looked.seconds, 2), "s", "<= 2", f"{among}: {looked}, with --at; by the ledger {told}"),
        Row("trace_oldest_s", round(everything.seconds, 2), "s", "<= 2", f"the oldest of them: {everything}"),
        Row("trace_memory_mb", round(more), "MB", "<= 100", "more for the oldest of them than by the ledger"),
    ]


def _put(target: Target, variant: str, first: datetime, files: int) -> list[tuple[str, datetime]]:
    """Put the files; an event id of each, and its time, the oldest first."""
    s3, bucket = target.client("s3"), target.output("artifact_bucket")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    pattern, step = _pattern(target), timedelta(days=1) / files

    def put(number: int) -> tuple[str, datetime]:
        at = first + number * step
        ids = [str(uuid.uuid4()) for _ in range(_OF_A_FILE)]
        body = "".join(_lines(pattern, ids, f"{number}", at))
        key = f"{CAPTURE}/{target.endpoint}/{variant}/{at:%Y/%m/%d/%H}/{at:%M-%S-%f}-{uuid.uuid4()}.jsonl"
        s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
        if number < files - _NOT_YET_READ:
            end = Batch(begins=set(), once=captures_once(key))
            for item in read(body.splitlines()):
                end.note(item)
            _ledger(target).commit(end)
        return ids[-1], at

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(put, range(files)))


def _lines(pattern: str, ids: list[str], file: str, at: datetime) -> Iterator[str]:
    for number, event in enumerate(ids):
        inference = f"order-{file}-{number}"
        line = pattern.replace(_EVENT, event).replace(_INFERENCE, inference)
        yield line.replace(_AT, f"{at:%Y-%m-%dT%H:%M:%SZ}")


def _pattern(target: Target) -> str:
    """A line as the endpoint writes it, of the model's example."""
    asked = (ROOT / "model" / "example_request.json").read_text()
    answered = _asked(target).body.decode()
    sides = {
        name: {"observedContentType": "application/json", "mode": mode, "data": data, "encoding": "JSON"}
        for name, mode, data in (("endpointInput", "INPUT", asked), ("endpointOutput", "OUTPUT", answered))
    }
    meta = {"eventId": _EVENT, "inferenceId": _INFERENCE, "inferenceTime": _AT}
    return json.dumps({"captureData": sides, "eventMetadata": meta, "eventVersion": "0"}, separators=(",", ":")) + "\n"


def _asked(target: Target) -> Response:
    body = (ROOT / "model" / "example_request.json").read_bytes()
    return answer_of(platform_of(target).invoke(), Request(body, inference_id="probe-bench"))


def _in_the_ledger(target: Target, variant: str) -> str:
    """Put an answer into the ledger of labels; its inference id."""
    name = f"order-{uuid.uuid4().hex}"
    _ledger(target).answers(
        variant, [(name, CapturedAnswer(str(uuid.uuid4()), variant, float(int(time.time())), {}, []))]
    )
    return name


def _ledger(target: Target) -> DocumentLedger:
    stored = DynamoDocuments(target.client, documents(target.endpoint))
    return DocumentLedger(stored, Batches(stored, CloudWatchMetrics(None, target.endpoint)), time.time)


def _among(named: list[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
    """Some of them, from the whole day."""
    wanted = sized(_REPEATS, 1)
    return [named[len(named) * (2 * number + 1) // (2 * wanted)] for number in range(wanted)]


def _typed(bed: Bed, *words: str) -> _Took:
    """Type the command.

    Raises:
        BenchError: It does not find the prediction.
    """
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "trace", *words, "--json"],
        cwd=ROOT,
        env={**os.environ, **bed.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or not json.loads(done.stdout)["commit"]:
        raise BenchError(f"trace {' '.join(words)} failed: {(done.stdout + done.stderr)[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Took(seconds, cpu, int(re.findall(r"\d+$", done.stderr)[0]) / 1024)
