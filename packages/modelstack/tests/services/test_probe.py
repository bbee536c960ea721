"""What a probe requests, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from modelstack.monitoring.captured import PROBED
from modelstack.rollout.core.errors import Unreachable
from modelstack.services import probe
from modelstack.services.invoke import Invoke
from tests.rollout.worlds import release
from tests.services.memory import MemoryInvoke
from tests.services.test_replay import Answering

SAMPLE = b'{"instances":[{"x":1.5}]}'


def answering(body: bytes, status: int = 200, variant: str = "v-a") -> MemoryInvoke:
    return MemoryInvoke({variant: lambda _: (status, body, 0.25)})


def probed(invoke: Invoke, content: bytes | None = SAMPLE) -> probe.ProbeOutcome:
    return probe.run(invoke, release("a"), lambda _, name: content if name == "example.json" else b"")


def test_a_sound_answer_of_the_champion_is_a_success_with_the_time_that_it_took() -> None:
    invoke = answering(b'{"predictions":[1]}')
    outcome = probed(invoke)
    assert outcome == probe.ProbeOutcome(ok=True, milliseconds=250, why="")
    success, latency = outcome.data(7.0)
    assert (success.name, success.value, success.unit, success.at) == ("ProbeSuccess", 1, "Count", 7.0)
    assert (latency.name, latency.value, latency.unit) == ("ProbeLatency", 250, "Milliseconds")
    (sent,) = invoke.sent
    assert (sent.body, sent.variant) == (SAMPLE, "v-a"), "a challenger on trial must not be judged by probes"
    assert sent.inference_id.startswith(PROBED), "by which captures leave it out"


def test_whatever_serves_is_requested_when_a_promotion_has_just_removed_the_champion() -> None:
    invoke = answering(b'{"predictions":[1]}', variant="v-b")
    assert probed(invoke).ok
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
    outcome = probed(invoke)
    assert not outcome.ok
    assert why in outcome.why
    assert [(one.name, one.value) for one in outcome.data(7.0)] == [("ProbeSuccess", 0)]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"instances":[]}', None])
def test_a_package_without_a_request_says_so(content: bytes | None) -> None:
    with pytest.raises(probe.UnreadableSample, match=r"example\.json"):
        probed(answering(b"{}"), content)
