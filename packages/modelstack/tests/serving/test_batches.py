"""What waits, what runs, and what others are told of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from modelstack.serving import worker
from modelstack.serving.answers import Answers
from modelstack.serving.batches import Batches, Full, Limits, Pace, PendingRows
from modelstack.serving.instances import Rows
from modelstack.serving.memory import Memory
from modelstack.serving.promise import Promise

PROMISE = Promise.of({}, Answers.of({"score": [0.5]}, 1))


def request(replies: list[Any], size: int = 0) -> PendingRows:
    return PendingRows(Rows(["a"], [(1.0,)], []), time.monotonic(), lambda *outcome: replies.append(outcome[0]), size)


def batches(predict: Any, memory: Memory, **limits: Any) -> Batches:
    return Batches(
        *(predict, PROMISE, memory.counts(0), Limits(**limits)),
        stuck=lambda: None,
        blocked=lambda since: memory.block(0, since),
    )


def test_nothing_is_told_to_wait_once_the_last_request_has_left_the_queue():
    memory, replies, seen = Memory.create(1), list[Any](), list[float]()

    async def go() -> None:
        found = batches(lambda rows: {"score": [0.5] * len(rows)}, memory, rows=1)
        for _ in range(3):
            found.submit(request(replies))
        found.look(time.monotonic())
        seen.append(memory.counts(0)["waiting"])
        while len(replies) < 3:
            await asyncio.sleep(0)
        seen.append(memory.counts(0)["waiting"])

    asyncio.run(go())
    assert seen == [3, 0]


def test_a_batch_has_no_more_rows_than_its_limit():
    replies, sizes = list[Any](), list[int]()

    def predict(rows: Rows) -> Any:
        sizes.append(len(rows))
        return {"score": [0.5] * len(rows)}

    async def go() -> None:
        found = batches(predict, Memory.create(1), rows=2)
        for _ in range(5):
            found.submit(request(replies))
        while len(replies) < 5:
            await asyncio.sleep(0)

    asyncio.run(go())
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(("limits", "size"), [({"queued": 100}, 60), ({"requests": 1}, 0)])
def test_a_queue_is_full_by_bytes_or_requests_until_it_has_been_answered(limits: dict[str, int], size: int):
    replies: list[Any] = []

    async def go() -> None:
        found = batches(lambda rows: {"score": [0.5] * len(rows)}, Memory.create(1), **limits)
        for answered in (1, 2, 3):
            found.submit(request(replies, size))
            with pytest.raises(Full):
                found.submit(request(replies, size))
            while len(replies) < answered:
                await asyncio.sleep(0)
        found.submit(request(replies, 200))  # alone, whatever its size

    asyncio.run(go())


def test_what_was_given_up_does_not_wait():
    memory, replies = Memory.create(1), list[Any]()

    async def go() -> None:
        found = batches(lambda rows: {"score": [0.5] * len(rows)}, memory)
        found.submit(request(replies))
        found.look(time.monotonic() + 61)

    asyncio.run(go())
    assert (replies[0].status, memory.counts(0)["waiting"]) == (504, 0)


def test_whoever_watches_sees_since_when_a_prediction_holds_the_loop():
    memory, replies, seen = Memory.create(1), list[Any](), list[float]()

    def predict(rows: Rows) -> Any:
        seen.append(memory.blocked(0))
        return {"score": [0.5] * len(rows)}

    async def go() -> None:
        found = batches(predict, memory, quick=0.0)
        before = time.monotonic()
        for number in range(2):  # the first is taken for quick, and the second runs in a thread
            found.submit(request(replies))
            while len(replies) <= number:
                await asyncio.sleep(0.001)
        assert before <= seen[0] <= time.monotonic()

    asyncio.run(go())
    assert (seen[1], memory.blocked(0)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "quick"),
    [
        ([], True),
        ([0.010], True),
        ([0.1], False),
        ([0.1, 0.0], True),  # one slow batch is the machine's doing
        ([0.1, 0.0, 0.1, 0.0], False),
        ([0.1, 0.1, 0.0, 0.0], False),
        ([0.1, 0.1, *[0.0] * 8], False),
        ([0.1, 0.1, *[0.0] * 20], True),
        ([0.1, *[0.0] * 20, 0.1, 0.0], True),
    ],
)
def test_only_a_second_slow_batch_makes_a_model_slow(seconds: list[float], quick: bool):
    pace = Pace(0.010)
    for one in seconds:
        pace.note(one)
    assert pace.quick is quick


def test_a_slow_model_is_not_warmed_up_for_long(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    monkeypatch.setattr(worker, "_WARM_UP_SECONDS", 0.0)
    worker._warm_up(lambda: calls.append(1))
    assert len(calls) == 1
