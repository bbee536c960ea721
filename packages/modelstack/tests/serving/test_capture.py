"""Captures beside requests: sampled, bounded, and never in their way."""

from __future__ import annotations

import io
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelstack.monitoring.captured import Recorded, when
from modelstack.monitoring.exchanges import read
from modelstack.serving.capture import MOST_POSTED, MOST_RECORDS, Capture, CaptureRefused, sink
from modelstack.serving.memory import Memory
from tests.listening import Quiet, listening
from tests.serving.packages import INSTANCE, served, write


def exchange(body: bytes = b"{}", **headers: bytes) -> Any:
    return SimpleNamespace(body=body, headers={b"content-type": b"application/json", **headers})


class Gate:
    def __init__(self) -> None:
        self.open = threading.Event()
        self.lines: list[bytes] = []

    def __call__(self, lines: bytes, at: datetime) -> None:
        assert self.open.wait(30)
        self.lines += lines.splitlines()


@pytest.mark.parametrize(
    ("offered", "size", "taken"), [(MOST_RECORDS + 5, 2, MOST_RECORDS), (20, 6 << 20, 10)], ids=["records", "bytes"]
)
def test_a_full_queue_drops_and_counts_and_a_request_never_waits(offered: int, size: int, taken: int):
    gate, counts = Gate(), Memory.create(1).counts(0)
    capture = Capture(gate, 100, counts)
    for _ in range(offered):
        capture.offer(exchange(b"x" * size), b"[]", b"application/json")
    assert counts["capture_dropped"] == offered - taken
    gate.open.set()
    capture.end()
    assert (len(gate.lines), counts["captured"]) == (taken, taken)


def test_a_share_is_taken():
    gate, counts = Gate(), Memory.create(1).counts(0)
    gate.open.set()
    capture = Capture(gate, 10, counts)
    for _ in range(5000):
        capture.offer(exchange(), b"[]", b"application/json")
    capture.end()
    assert 350 < counts["captured"] < 650


def test_a_sink_that_fails_is_counted_and_told(capsys: pytest.CaptureFixture[str]):
    def full(lines: bytes, at: datetime) -> None:
        raise OSError("no space left")

    counts = Memory.create(1).counts(0)
    capture = Capture(full, 100, counts)
    capture.offer(exchange(), b"[]", b"application/json")
    capture.end()
    assert (counts["captured"], counts["capture_failed"]) == (0, 1)
    assert "1 captures could not be written: OSError: no space left" in capsys.readouterr().err


def test_a_bucket_gets_objects_by_the_hour(monkeypatch: pytest.MonkeyPatch):
    import boto3

    put: list[dict[str, Any]] = []
    monkeypatch.setattr(boto3, "client", lambda _: SimpleNamespace(put_object=lambda **given: put.append(given)))
    sink("s3://bucket/some/prefix")(b"lines", datetime(2026, 3, 1, 7, 8, 9, tzinfo=UTC))
    (found,) = put
    assert (found["Bucket"], found["Body"]) == ("bucket", b"lines")
    assert found["Key"].startswith("some/prefix/2026/03/01/07/08-09-")


def test_a_large_write_goes_in_posts_of_whole_lines_each_of_which_is_tried():
    posts: list[bytes] = []
    tokens: list[Any] = []

    def opener(request: Any, timeout: float) -> Any:
        posts.append(request.data)
        tokens.append(request.get_header("X-modelstack-token"))
        if len(posts) == 2:
            raise OSError("413")
        return io.BytesIO()

    lines = [b"x" * size + b"\n" for size in (MOST_POSTED - 10, 5, 20, 3, MOST_POSTED + 7, 1)]
    with pytest.raises(OSError, match="413"):
        sink("http://host/x", "token", opener)(b"".join(lines), datetime(2026, 3, 1, tzinfo=UTC))
    assert posts == [lines[0] + lines[1], lines[2] + lines[3], lines[4], lines[5]]
    assert {*tokens} == {"token"}


@pytest.mark.parametrize("url", ["ftp://host/x", "file://relative", "folder", "http://", "s3://"])
def test_a_place_that_is_none_is_refused_with_those_that_are(url: str):
    with pytest.raises(CaptureRefused, match=r"expected file:///FOLDER, http\(s\)://HOST/PATH or s3://BUCKET/PREFIX"):
        sink(url)


@pytest.mark.e2e
def test_a_servers_captures_are_read_by_the_monitors_and_survive_its_drain(tmp_path: Path):
    settings = {"MODELSTACK_CAPTURE": f"file://{tmp_path}/captures"}
    with served(tmp_path / "m", write(tmp_path / "m"), **settings) as server:
        told = {"X_Amzn_SageMaker_Custom_Attributes": "event-time=2013-03-01T11:15:00+00:00"}
        server.ask({"instances": [INSTANCE]}, X_Amzn_SageMaker_Inference_Id="flight-7", **told)
        server.ask({"instances": []})
    (path,) = (tmp_path / "captures").rglob("*.jsonl")
    (line,) = path.read_text().splitlines()
    (found,) = read([line])
    assert isinstance(found, Recorded)
    assert (found.inference_id, found.asked is None, found.answered is None) == ("flight-7", False, False)
    assert when(found, time.time()) == (datetime(2013, 3, 1, 11, 15, tzinfo=UTC).timestamp(), True)


@pytest.mark.e2e
def test_captures_are_posted(tmp_path: Path):
    posted: list[bytes] = []

    class Handler(Quiet):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

    with (
        listening(Handler) as url,
        served(tmp_path / "m", write(tmp_path / "m"), MODELSTACK_CAPTURE=f"{url}/x") as server,
    ):
        server.predictions(INSTANCE)
        deadline = time.monotonic() + 120
        while not posted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert json.loads(posted[0])["captureData"]["endpointOutput"]["data"].startswith('{"predictions"')
        while not server.count("serving_captured_total") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.count("serving_captured_total") == 1
