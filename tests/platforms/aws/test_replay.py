"""Which captured requests are replayed, and what becomes of the lines that hold none."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitoring import replaying
from monitoring.captured import REPLAYED
from platforms.aws.replay import SageMakerReplay
from rollout.core.plan import ReplayGate
from rollout.core.replay import NONE, judged_replay, unchecked
from rollout.core.transitions import replayed
from rollout.kinds import Kind
from tests.rollout import worlds

ASKED = {"observedContentType": "text/csv", "data": "1,2", "encoding": "CSV"}
ANSWERED = {"observedContentType": "application/json", "data": '{"p": 0.5}', "encoding": "JSON"}


def line(body: str, name: str = "", **sides: Any) -> str:
    data = {"endpointInput": {**ASKED, "data": body}, "endpointOutput": ANSWERED, **sides}
    return json.dumps({"captureData": data, "eventMetadata": {"inferenceId": name}})


class Cloud:
    """An endpoint that captures into a bucket, and answers whatever it is asked."""

    def __init__(self, captures: bool = True) -> None:
        self.files: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []
        self.captures = captures

    def __call__(self, service: str) -> Any:
        return self

    def file(self, hours: int, *lines: str) -> None:
        """A file of the champion's captures that was written some hours ago."""
        at = datetime.now(UTC) - timedelta(hours=hours)
        self.files[f"capture/e/v-a/{at:%Y/%m/%d/%H}/{len(self.files)}.jsonl"] = "\n".join(lines)

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"DataCaptureConfig": {"DestinationS3Uri": "s3://artifacts/capture"}} if self.captures else {}

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[Any]:
        found = [key for key in self.files if key.startswith(Prefix)]
        return [{"Contents": [{"Key": key, "LastModified": int(key[-7:-6])} for key in found]}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.files[Key].encode())}

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Body": io.BytesIO(b'{"p": 0.25}')}


def bodies(cloud: Cloud, limit: int = 100) -> list[bytes]:
    return [asked.body for _, (asked, _) in SageMakerReplay(cloud, "e").latest("v-a", limit, Counter())]


def test_the_latest_requests_come_first_and_no_more_than_are_wanted() -> None:
    cloud = Cloud()
    cloud.file(30, line("1"), line("2"))
    cloud.file(1, line("3"), line("4"))
    cloud.file(1, line("5"))
    assert bodies(cloud) == [b"5", b"4", b"3", b"2", b"1"]
    assert bodies(cloud, 2) == [b"5", b"4"]
    assert bodies(Cloud(captures=False)) == []


def test_a_request_is_sent_as_it_was_captured_to_both_variants() -> None:
    cloud = Cloud()
    cloud.file(0, line("1"))
    seen = SageMakerReplay(cloud, "e").run("v-a", "v-b", 10)
    assert (seen.requests, seen.errors, seen.changed, seen.unreadable) == (1, 0, 0, {})
    assert [asked["TargetVariant"] for asked in cloud.asked] == ["v-b", "v-a"]
    for asked in cloud.asked:
        assert (asked["Body"], asked["ContentType"], asked["Accept"]) == (b"1", "text/csv", "application/json")
        assert asked["InferenceId"].startswith(REPLAYED)


def test_lines_without_a_request_and_its_answer_are_counted_by_reason_and_stop_nothing() -> None:
    cloud = Cloud()
    cloud.file(0, line("1"), "{", line("2", endpointOutput=None), "oops", line("3"))
    seen = SageMakerReplay(cloud, "e").run("v-a", "v-b", 10)
    assert seen.requests == 2
    assert seen.unreadable == {"the line is no JSON": 2, "the request or the answer was not captured": 1}


def test_what_a_replay_asked_is_not_replayed_again() -> None:
    cloud = Cloud()
    cloud.file(0, line("1"), line("2", f"{REPLAYED}v-b-3"))
    assert bodies(cloud) == [b"1"]


class Clock:
    """Goes on only when a model answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(replaying.time, "monotonic", lambda: self.now)


def test_a_slow_model_is_replayed_over_several_runs_each_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    class Slow(Cloud):
        def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
            clock.now += 12.0 if asked["TargetVariant"] == "v-b" else 8.0
            return super().invoke_endpoint(**asked)

    cloud = Slow()
    for file in range(5):
        cloud.file(2, *(line(f"{file}{number}") for number in range(6)))
    gate, seen, runs = ReplayGate(), NONE, 0
    while runs == 0 or seen.goes_on(gate):
        seen, runs = SageMakerReplay(cloud, "e").run("v-a", "v-b", gate.requests - seen.requests, seen), runs + 1
        waits = unchecked(gate, seen)
        if waits is not None:
            told = f"{seen.requests} captured requests were replayed in {20 * seen.requests} s, at least 20 are needed"
            assert told in waits.text
            assert judged_replay(gate, seen) is None
        cloud.file(0, line(f"new{runs}"))  # comes first, and changes nothing of where the next run goes on
    assert (runs, seen.requests, seen.latency_ratio) == (5, 20, 1.5)
    bodies = [asked["Body"] for asked in cloud.asked if asked["TargetVariant"] == "v-b"]
    assert len(bodies) == len({*bodies}) == 20 and not any(body.startswith(b"new") for body in bodies)
    assert len(cloud.asked) == 2 * 20
    assert judged_replay(gate, seen) is None


def test_error_bodies_of_any_size_are_cut_in_what_is_kept_and_whole_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Cloud):
        def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
            said = f"{len(self.asked)} " + "x" * 60_000
            self.asked.append(asked)
            error = {"Error": {"Code": "ModelError"}, "OriginalStatusCode": 500, "OriginalMessage": said}
            raise ClientError(error, "InvokeEndpoint")  # type: ignore[arg-type]  what SageMaker answers has more fields

    cloud = Broken()
    cloud.file(0, *(line(str(number)) for number in range(30)))
    seen = SageMakerReplay(cloud, "e").run("v-a", "v-b", 100)
    assert (seen.requests, len(seen.examples)) == (30, 5)
    assert seen.examples[0].startswith("the answer is an error 500: 0 xxx")
    rejected = replayed(worlds.challenged(plan=replace(worlds.PLAN, replay=ReplayGate()), seconds=0).state, seen, 1e6)
    assert rejected.decided is not None and rejected.decided.reason.kind is Kind.REPLAY_ERRORS
    assert len(rejected.to_json()) < 40_000, "an item of the journal has 400 kB"
    log = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert len(log[0]["said"]) > 60_000
