"""Variants that go wrong because a test asks for it, in this process with real serving processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import failure, run

pytestmark = pytest.mark.e2e


def fault(inside: Any, effect: str, variant: str = "a", **more: Any) -> Any:
    return inside.platform.faults.add({"endpoint": "e", "variant": variant, "effect": effect, **more})


def test_errors_have_the_status_and_the_share_that_were_asked_for(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            fault(inside, "error", status=503, share=0.5)
            answers = await asyncio.gather(*(inside.invoke("e") for _ in range(200)), return_exceptions=True)
            wrong = [answer for answer in answers if isinstance(answer, Exception)]
            assert 50 < len(wrong) < 150
            assert {error.document["OriginalStatusCode"] for error in wrong} == {503}
            assert sum(inside.metrics.values("Invocation5XXErrors", VariantName="a")) == len(wrong)

    run(scenario())


def test_a_fault_hits_its_own_variant_only(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=1)
            fault(inside, "error", "b")
            assert (await inside.invoke("e", x_amzn_sagemaker_target_variant="a"))["name"] == "e-a"
            refused = await failure(inside.invoke("e", x_amzn_sagemaker_target_variant="b"))
            assert refused.document["OriginalStatusCode"] == 500

    run(scenario())


def test_a_delay_counts_as_the_models_own_latency(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            fault(inside, "delay", milliseconds=2000, calls=1)
            assert (await inside.invoke("e"))["name"] == "e-a"
            await inside.invoke("e")
            slow, fast = inside.metrics.values("ModelLatency", VariantName="a")
            assert slow >= 2_000_000
            assert fast < slow

    run(scenario())


def test_a_hang_ends_in_a_time_out(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            fault(inside, "hang", milliseconds=200, calls=1)
            refused = await failure(inside.invoke("e"))
            assert "Your invocation timed out" in refused.message
            assert inside.metrics.values("Invocation5XXErrors", VariantName="a") == [1.0]
            assert (await inside.invoke("e"))["name"] == "e-a"

    run(scenario())


def test_a_crash_ends_the_process_and_another_takes_its_place(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            before = (await inside.invoke("e"))["pid"]
            fault(inside, "crash", calls=1)
            assert "could not get a response" in (await failure(inside.invoke("e"))).message
            while True:
                try:
                    assert (await inside.invoke("e"))["pid"] != before
                    return
                except Exception as error:
                    assert getattr(error, "code", "") in {"ServiceUnavailable", "ModelError"}, error
                    await asyncio.sleep(0.02)

    run(scenario())


def test_an_answer_can_be_put_in_the_containers_place(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            fault(inside, "answer", body='{"probability": NaN}', calls=1)
            headers = {"content-type": "application/json", "accept": "application/json"}
            status, answered, body = await inside.service.handle("POST", "/endpoints/e/invocations", headers, b"{}", {})
            assert (status, body) == (200, b'{"probability": NaN}')
            assert answered["Content-Type"] == "application/json"

    run(scenario())
