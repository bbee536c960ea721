"""Which captured requests are replayed, what is made of the answers, and what of the lines that hold none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from modelstack.monitoring.captured import REPLAYED
from modelstack.rollout.core.errors import Busy, Unreachable
from modelstack.rollout.core.plan import ReplayGate
from modelstack.rollout.core.replay import NONE, judged_replay, unchecked
from modelstack.rollout.core.state import Replayed
from modelstack.rollout.core.transitions import replayed
from modelstack.rollout.kinds import Kind
from modelstack.services import replay as replaying
from modelstack.services.captures import CaptureFiles
from modelstack.services.invoke import Request, Response, TimedOut
from modelstack.services.replay import replay
from tests.rollout import worlds
from tests.services.memory import MemoryBlobs, MemoryInvoke

ASKED = {"observedContentType": "text/csv", "data": "1,2", "encoding": "CSV"}
ANSWERED = {"observedContentType": "application/json", "data": '{"p": 0.5}', "encoding": "JSON"}


def line(body: str, name: str = "", **sides: Any) -> str:
    data = {"endpointInput": {**ASKED, "data": body}, "endpointOutput": ANSWERED, **sides}
    return json.dumps({"captureData": data, "eventMetadata": {"inferenceId": name}})


@dataclass
class World:
    """Captures of v-a, and an endpoint of v-a and v-b."""

    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    invoke: Any = field(default_factory=lambda: MemoryInvoke(dict.fromkeys(("v-a", "v-b"), answer)))

    def file(self, *lines: str) -> None:
        name = f"e/v-a/{datetime.now(UTC):%Y/%m/%d/%H}/{len(self.blobs.stored):03}.jsonl"
        self.blobs.put_new(name, "\n".join(lines).encode())

    def run(self, requests: int = 100, before: Replayed = NONE, challenger: str = "v-b") -> Replayed:
        latest = partial(CaptureFiles(self.blobs, "e/").latest, "v-a", requests)
        return replay(latest, self.invoke, champion="v-a", challenger=challenger, before=before)


def answer(_: Request) -> tuple[int, bytes, float]:
    return 200, b'{"p": 0.25}', 0.1


def test_a_request_is_sent_as_it_was_captured_to_both_variants() -> None:
    world = World()
    world.file(line("1"))
    seen = world.run()
    assert (seen.requests, seen.errors, seen.changed, seen.unreadable) == (1, 0, 0, {})
    assert [sent.variant for sent in world.invoke.sent] == ["v-b", "v-a"]
    for sent in world.invoke.sent:
        assert (sent.body, sent.content_type, sent.accept) == (b"1", "text/csv", "application/json")
        assert sent.inference_id.startswith(REPLAYED)


def test_lines_without_a_request_and_its_answer_are_counted_by_reason_and_stop_nothing() -> None:
    world = World()
    world.file(line("1"), "{", line("2", endpointOutput=None), "oops", line("3"), line("4", f"{REPLAYED}v-b-3"))
    seen = world.run()
    assert seen.requests == 2
    assert seen.unreadable == {"the line is no JSON": 2, "the request or the answer was not captured": 1}


def test_a_slow_model_is_replayed_over_several_runs_each_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(replaying.time, "monotonic", lambda: now[0])

    def slow(seconds: float) -> Callable[[Request], tuple[int, bytes, float]]:
        def model(request: Request) -> tuple[int, bytes, float]:
            now[0] += seconds
            return 200, b'{"p": 0.25}', seconds

        return model

    world = World(invoke=MemoryInvoke({"v-a": slow(8.0), "v-b": slow(12.0)}))
    for file in range(5):
        world.file(*(line(f"{file}{number}") for number in range(6)))
    gate, seen, runs = ReplayGate(), NONE, 0
    while runs == 0 or seen.goes_on(gate):
        seen, runs = world.run(gate.requests - seen.requests, seen), runs + 1
        waits = unchecked(gate, seen)
        if waits is not None:
            told = f"{seen.requests} captured requests were replayed in {20 * seen.requests} s, at least 20 are needed"
            assert told in waits.text
            assert judged_replay(gate, seen) is None
        world.file(line(f"new{runs}"))  # comes first, and changes nothing of where the next run goes on
    assert (runs, seen.requests, seen.latency_ratio) == (5, 20, 1.5)
    bodies = [sent.body for sent in world.invoke.sent if sent.variant == "v-b"]
    assert len(bodies) == len({*bodies}) == 20 and not any(body.startswith(b"new") for body in bodies)
    assert len(world.invoke.sent) == 2 * 20
    assert judged_replay(gate, seen) is None


def test_error_bodies_of_any_size_are_cut_in_what_is_kept_and_whole_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(request: Request) -> tuple[int, bytes, float]:
        return 500, request.body + b" " + b"x" * 60_000, 0.1

    world = World(invoke=MemoryInvoke({"v-a": broken, "v-b": broken}))
    world.file(*(line(str(number)) for number in reversed(range(30))))
    seen = world.run()
    assert (seen.requests, len(seen.examples)) == (30, 5)
    assert seen.examples[0].startswith("the answer is an error 500: 0 xxx")
    rejected = replayed(worlds.challenged(plan=replace(worlds.PLAN, replay=ReplayGate()), seconds=0).state, seen, 1e6)
    assert rejected.decided is not None and rejected.decided.reason.kind is Kind.REPLAY_ERRORS
    assert len(rejected.to_json()) < 40_000, "an item of the journal has 400 kB"
    log = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert len(log[0]["said"]) > 60_000


@dataclass(frozen=True)
class Answering:
    """`Invoke` that always gives the same."""

    given: Response | Exception

    def send(self, request: Request) -> Response:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Response(200, b'{"p": 0.25}', 0.1, "v-a"), "v-a answered: the route has no rule for v-b yet"),
        (Response(404, b"", 0.1), "no variant answered, but the gateway: 404"),
        (Response(503, b"no healthy upstream", 0.1), "no variant answered, but the gateway: 503 no healthy upstream"),
        (Unreachable("the gateway at http://g: ConnectError"), "the gateway at http://g: ConnectError"),
    ],
)
def test_what_is_not_the_challengers_own_answer_is_no_evidence_against_it(
    given: Response | Exception, said: str
) -> None:
    world = World(invoke=Answering(given))
    world.file(line("1"))
    with pytest.raises(Busy, match=f"replay a request to v-b: {said}"):
        world.run()


@pytest.mark.parametrize(
    "given", [TimedOut("upstream request timeout"), Response(504, b"upstream request timeout", 0.3)]
)
def test_a_challenger_that_is_waited_for_in_vain_has_failed(given: Response | Exception) -> None:
    world = World(invoke=Answering(given))
    world.file(line("1"))
    seen = world.run()
    assert (seen.errors, seen.examples) == (1, ("the answer is an error 504: upstream request timeout",))


def test_a_champion_that_is_waited_for_in_vain_was_slow_and_its_challenger_is_not() -> None:
    def vain(_: Request) -> tuple[int, bytes, float]:
        time.sleep(0.05)
        raise TimedOut("upstream request timeout")

    world = World(invoke=MemoryInvoke({"v-a": vain, "v-b": lambda _: (200, b'{"p": 0.5}', 0.01)}))
    world.file(line("1"))
    seen = world.run()
    assert (seen.errors, seen.requests) == (0, 1)
    assert seen.latency_ratio < 1


def test_a_file_that_expires_once_it_was_listed_is_passed_over() -> None:
    world = World()
    for number in range(2):
        world.file(line(str(number)))
    first = min(world.blobs.stored)
    reads = world.blobs.get

    def expiring(name: str) -> Iterable[bytes]:
        world.blobs.stored.pop(first, None)
        return reads(name)

    world.blobs.get = expiring
    assert world.run().requests == 1
