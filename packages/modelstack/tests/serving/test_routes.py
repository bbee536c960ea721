"""Whatever raises an error, its request is answered, and one line of the log has the traceback."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from modelstack.serving import worker
from modelstack.serving.answers import Answers
from modelstack.serving.batches import Batches, Limits
from modelstack.serving.exchange import Exchange
from modelstack.serving.failures import FailureLog
from modelstack.serving.instances import Reader
from modelstack.serving.memory import Memory
from modelstack.serving.routes import Routes
from tests.serving.packages import INSTANCE, write

SECRET = "what the caller sent"
BODY = json.dumps({"instances": [INSTANCE]}).encode()


class Client:
    """Records the answers of its requests."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []

    def answered(self, exchange: Exchange, status: int, body: bytes, kind: bytes, also: bytes) -> None:
        self.answers.append((status, json.loads(body)))


def fail(*given: object, **named: object) -> Any:
    raise LookupError(SECRET)


def score(rows: Any) -> Any:
    return {"score": [0.5] * len(rows)}


@pytest.mark.parametrize(
    ("part", "kind", "said"),
    [
        ("parsing", "internal", (500, "the server raised LookupError")),
        ("encoding", "model", (500, "predict returned what is no JSON: what the caller sent")),
        ("capture", "internal", (200, None)),
        ("prediction", "model", (500, "LookupError: what the caller sent")),
    ],
)
def test_an_unexpected_error_is_answered_counted_and_logged_in_one_write(
    part: str, kind: str, said: tuple[int, str | None], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    writes: list[str] = []
    write(tmp_path / "m")
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_bytes())
    served = worker.served(tmp_path / "m", manifest, "model", score)
    memory, client = Memory.create(1), Client()
    counts = memory.counts(0)

    async def go() -> None:
        predict = fail if part == "prediction" else score
        batches = Batches(
            predict, served.promise, counts, Limits(), stuck=lambda: None, blocked=lambda since: memory.block(0, since)
        )
        captured = fail if part == "capture" else None
        found = Routes(served, batches, counts, lambda: "", FailureLog(), captured=captured)
        exchange = Exchange(client, b"POST", b"/invocations", {b"content-type": b"application/json"})
        exchange.body = BODY
        found.handle(exchange)
        while not client.answers:
            await asyncio.sleep(0)

    if part == "parsing":
        monkeypatch.setattr(Reader, "json", fail)
    if part == "encoding":
        monkeypatch.setattr(Answers, "documents", fail)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=writes.append, flush=lambda: None))
    asyncio.run(go())
    ((answered, body),) = client.answers
    assert (answered, body.get("error")) == said
    (line,) = writes
    found = json.loads(line)
    assert (found["kind"], "in fail\n" in found["traceback"]) == (kind, True)
    assert len(line) < 4096
    assert kind == "model" or SECRET not in line
    assert counts[kind] == (said[0] == 500)
    assert counts["capture_failed"] == (part == "capture")
