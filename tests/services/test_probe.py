"""What a probe requests, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.captured import PROBED
from rollout.core.errors import Unreachable
from services import probe
from services.memory import MemoryInvoke
from tests.services.test_replay import Answering

SAMPLE = b'{"instances":[{"x":1.5}]}'


def answering(body: bytes, status: int = 200, variant: str = "v-a") -> MemoryInvoke:
    return MemoryInvoke({variant: lambda _: (status, body, 0.25)})


def test_a_sound_answer_of_the_champion_is_a_success_with_the_time_that_it_took() -> None:
    invoke = answering(b'{"predictions":[1]}')
    outcome = probe.run(invoke, "v-a", SAMPLE)
    assert outcome == probe.Outcome(ok=True, milliseconds=250, why="")
    assert outcome.metrics() == [("ProbeSuccess", 1, "Count"), ("ProbeLatency", 250, "Milliseconds")]
    (sent,) = invoke.sent
    assert (sent.body, sent.variant) == (SAMPLE, "v-a"), "a challenger on trial must not be judged by probes"
    assert sent.inference_id.startswith(PROBED), "by which captures leave it out"


def test_whatever_serves_is_requested_when_a_promotion_has_just_removed_the_champion() -> None:
    invoke = answering(b'{"predictions":[1]}', variant="v-b")
    assert probe.run(invoke, "v-a", SAMPLE).ok
    assert [sent.variant for sent in invoke.sent] == ["v-a", None]


@pytest.mark.parametrize(
    ("invoke", "why"),
    [
        (answering(b""), "empty"),
        (answering(b'{"predictions":[NaN]}'), "expected a finite number"),
        (answering(b"overloaded", status=503), "503 overloaded"),
        (Answering(Unreachable("nobody is there")), "nobody is there"),
    ],
)
def test_an_answer_that_is_not_sound_or_missing_is_a_failure_and_has_no_latency(invoke: Any, why: str) -> None:
    outcome = probe.run(invoke, "v-a", SAMPLE)
    assert not outcome.ok
    assert why in outcome.why
    assert outcome.metrics() == [("ProbeSuccess", 0, "Count")]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"instances":[]}', None])
def test_a_package_without_a_request_says_so(content: bytes | None) -> None:
    with pytest.raises(probe.UnreadableSample, match=r"example\.json"):
        probe.sample(content)
