"""Shadow variants: copies of requests whose answers nobody gets, in this process with real serving processes."""

from __future__ import annotations

import asyncio
import json
import random
from statistics import NormalDist
from typing import Any

import pytest

from .conftest import failure, ours, run

pytestmark = pytest.mark.e2e


async def shadowed(
    inside: Any, variant: Any, share: float = 1.0, weight: float = 1.0, holds: str = "", **more: Any
) -> None:
    """Bring endpoint `e` up with production variant `live` and shadow variant `shade`."""
    await inside.model("m-live")
    await inside.model("m-shade", holds=holds)
    await inside.config(
        "c",
        variant("live", "m-live", weight),
        ShadowProductionVariants=[variant("shade", "m-shade", share * weight)],
        **more,
    )
    await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert (await inside.settled("e"))["EndpointStatus"] == "InService"


async def copies(inside: Any) -> int:
    """Invocations of the shadow variant, once none is on its way."""
    while inside.service._runtime._copies:
        await asyncio.sleep(0.02)
    return len(inside.metrics.values("Invocations", VariantName="shade"))


@pytest.mark.parametrize(
    ("production", "shadows", "words"),
    [
        (["a", "b"], ["s"], "there are 2 and 1"),
        (["a"], ["s", "t"], "there are 1 and 2"),
        (["a"], ["a"], "repeated: a"),
    ],
)
def test_there_is_one_production_and_one_shadow_variant(inside, variant, production, shadows, words):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            made = [variant(name, "m") for name in production]
            shadow = [variant(name, "m") for name in shadows]
            refused = await failure(inside.config("c", *made, ShadowProductionVariants=shadow))
            assert refused.code == "ValidationException"
            assert words in refused.message

    run(scenario())


def test_every_answer_is_the_production_variants_and_the_copies_are_metered_apart(inside, variant):
    async def scenario():
        async with inside.running():
            await shadowed(inside, variant)
            answers = [await inside.invoke("e") for _ in range(20)]
            assert {answer["name"] for answer in answers} == {"m-live"}
            assert {answer["headers"]["x-Amzn-Invoked-Production-Variant"] for answer in answers} == {"live"}
            assert await copies(inside) == 20
            assert len(inside.metrics.values("Invocations", VariantName="live")) == 20
            assert len(inside.metrics.values("ModelLatency", VariantName="shade")) == 20
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert [v["VariantName"] for v in described["ProductionVariants"]] == ["live"]
            (shade,) = described["ShadowProductionVariants"]
            assert (shade["VariantName"], shade["CurrentWeight"], shade["CurrentInstanceCount"]) == ("shade", 1.0, 1)
            config = await inside.call("DescribeEndpointConfig", EndpointConfigName="c")
            assert config["ShadowProductionVariants"][0]["ModelName"] == "m-shade"
            assert len(ours(inside)) == 2
            refused = await failure(inside.invoke("e", x_amzn_sagemaker_target_variant="shade"))
            assert refused.message == "Variant shade of endpoint e not found."

    run(scenario())


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_the_share_that_is_copied_is_the_shadows_weight_over_the_production_variants(inside, variant, weight):
    async def scenario():
        async with inside.running():
            await shadowed(inside, variant, share=0.3, weight=weight)
            random.seed(20130101)
            draws = 600
            for _ in range(draws):
                await inside.invoke("e")
            seen = await copies(inside)
            spread = NormalDist().inv_cdf(0.9995) * (draws * 0.3 * 0.7) ** 0.5
            assert abs(seen - 0.3 * draws) <= spread + 0.5

    run(scenario())


def test_the_weight_of_a_shadow_variant_can_be_changed_down_to_nothing(inside, variant):
    async def scenario():
        async with inside.running():
            await shadowed(inside, variant)
            wish = [{"VariantName": "shade", "DesiredWeight": 0}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            described = await inside.settled("e")
            assert described["ShadowProductionVariants"][0]["CurrentWeight"] == 0
            for _ in range(5):
                await inside.invoke("e")
            assert await copies(inside) == 0

    run(scenario())


def test_a_slow_or_broken_shadow_variant_neither_delays_nor_alters_an_answer(inside, variant):
    async def scenario():
        async with inside.running():
            hold = inside.hold()
            await shadowed(inside, variant, holds=hold.until)
            answers = await asyncio.gather(*(inside.invoke("e") for _ in range(10)))
            assert {answer["name"] for answer in answers} == {"m-live"}
            assert inside.metrics.values("Invocations", VariantName="shade") == []  # none has come to an end
            hold.release()
            assert await copies(inside) == 10
            inside.platform.faults.add({"endpoint": "e", "variant": "shade", "effect": "error", "calls": 1})
            assert (await inside.invoke("e"))["name"] == "m-live"
            assert await copies(inside) == 11
            assert inside.metrics.values("Invocation5XXErrors", VariantName="shade") == [0.0] * 10 + [1.0]
            assert inside.metrics.values("Invocation5XXErrors", VariantName="live") == [0.0] * 11
            inside.platform.faults.add({"endpoint": "e", "variant": "shade", "effect": "crash", "calls": 1})
            assert (await inside.invoke("e"))["name"] == "m-live"

    run(scenario())


def test_copies_are_captured_under_the_shadow_variants_name(inside, variant):
    async def scenario():
        async with inside.running():
            capture = {
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": "s3://models/capture",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            }
            await shadowed(inside, variant, DataCaptureConfig=capture)
            await inside.invoke("e", {"x": 1}, x_amzn_sagemaker_inference_id="one")
            await copies(inside)
        records = {
            key.split("/")[2]: json.loads(body)
            for (_, key), body in inside.aws.objects.items()
            if key.startswith("capture/")
        }
        assert set(records) == {"live", "shade"}
        for name, record in records.items():
            assert record["eventMetadata"]["inferenceId"] == "one"
            assert json.loads(record["captureData"]["endpointInput"]["data"]) == {"x": 1}
            assert json.loads(record["captureData"]["endpointOutput"]["data"])["name"] == f"m-{name}"

    run(scenario())


def test_a_shadow_variant_that_does_not_start_fails_the_update_and_the_endpoint_goes_on(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", live=1)
            await inside.model("bad", start="raise")
            await inside.config("c2", variant("live", "e-live"), ShadowProductionVariants=[variant("shade", "bad")])
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            described = await inside.settled("e")
            assert described["EndpointConfigName"] == "e"
            assert "production variant shade" in described["FailureReason"]
            assert "ShadowProductionVariants" not in described

    run(scenario())


def test_a_shadow_variant_comes_back_after_a_restart(inside, variant):
    async def scenario():
        async with inside.running():
            await shadowed(inside, variant)
        async with inside.running():
            await inside.settled("e")
            await inside.invoke("e")
            assert await copies(inside) == 1

    run(scenario())
