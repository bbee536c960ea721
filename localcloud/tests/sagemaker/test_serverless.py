"""Serverless variants: their limits, their cold starts and their throttling, in this process with real processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .asked import ROLE, container
from .conftest import Failure, failure, ours, run


def on_demand(name: str = "v", model: str = "m", memory: int = 2048, most: int = 2, **more: Any) -> dict[str, Any]:
    """A serverless production variant."""
    provisioned = {"ProvisionedConcurrency": more.pop("provisioned")} if "provisioned" in more else {}
    config = {"MemorySizeInMB": memory, "MaxConcurrency": most, **provisioned}
    return {"VariantName": name, "ModelName": model, "ServerlessConfig": config, **more}


async def bring_up(
    inside: Any, *, start: str = "slow", seconds: float = 0.3, until: str = "", **more: Any
) -> dict[str, Any]:
    await inside.model("m", start=start, seconds=seconds, until=until)
    await inside.config("c", on_demand(**more))
    await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    return await inside.settled("e")


CAPTURE = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://models/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    ("variants", "more", "words"),
    [
        ([on_demand(memory=1023)], {}, "greater than or equal to 1024"),
        ([on_demand(memory=1536)], {}, "valid values are in 1 GB increments"),
        ([on_demand(memory=7168)], {}, "less than or equal to 6144"),
        ([on_demand(most=0)], {}, "greater than or equal to 1"),
        ([on_demand(most=201)], {}, "less than or equal to 200"),
        ([on_demand(most=2, provisioned=3)], {}, "ProvisionedConcurrency (3) of variant 'v' should be less than"),
        ([on_demand(InstanceType="ml.m5.large")], {}, "it must not have InstanceType"),
        ([on_demand(InitialInstanceCount=1, VolumeSizeInGB=5)], {}, "InitialInstanceCount, VolumeSizeInGB"),
        ([on_demand("v"), on_demand("w")], {}, "multiple production variants"),
        ([on_demand()], {"ShadowProductionVariants": [on_demand("s")]}, "shadow variants"),
        ([on_demand()], {"DataCaptureConfig": CAPTURE}, "data capture"),
        ([on_demand()], {"EnableNetworkIsolation": True}, "network isolation"),
        ([on_demand()], {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}}, "VPC configuration"),
        ([on_demand(model="apart")], {}, "network isolation"),
    ],
)
def test_what_serverless_inference_excludes_is_refused_by_name(inside, variants, more, words):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.call(
                "CreateModel",
                ModelName="apart",
                ExecutionRoleArn=ROLE,
                PrimaryContainer=container("m"),
                EnableNetworkIsolation=True,
            )
            refused = await failure(inside.config("c", *variants, **more))
            assert refused.code == "ValidationException"
            assert words in refused.message

    run(scenario())


@pytest.mark.e2e
def test_an_idle_variant_has_no_process_and_the_next_request_starts_one(inside):
    async def scenario():
        async with inside.with_timing(serverless_idle=1000).running():
            described = await bring_up(inside)
            (shown,) = described["ProductionVariants"]
            assert shown["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
            assert shown["CurrentInstanceCount"] == 0
            assert "DesiredInstanceCount" not in shown
            first = (await inside.invoke("e"))["pid"]
            assert (await inside.invoke("e"))["pid"] == first
            assert inside.metrics.values("ModelSetupTime") == []  # it had started to show that it can
        async with inside.with_timing(serverless_idle=0.4).running():
            await inside.settled("e")
            while ours(inside):
                await asyncio.sleep(0.02)
            assert (await inside.call("DescribeEndpoint", EndpointName="e"))["EndpointStatus"] == "InService"
            assert (await inside.invoke("e"))["pid"] != first
            (setup,) = inside.metrics.values("ModelSetupTime", VariantName="v")
            assert setup >= 0.3e6
        assert ours(inside) == []

    run(scenario())


@pytest.mark.e2e
def test_a_cold_start_that_takes_too_long_is_not_ready_and_goes_on(inside):
    async def scenario():
        async with inside.with_timing(serverless_idle=0.3, invocation=0.6).running():
            hold = inside.hold()
            hold.release()
            await bring_up(inside, start="held", until=hold.until)
            while ours(inside):
                await asyncio.sleep(0.02)
            hold.renew()
            refused = await failure(inside.invoke("e"))
            assert (refused.code, refused.status) == ("ModelNotReadyException", 429)
            assert len(ours(inside)) == 1
            hold.release()
            while True:
                try:
                    assert (await inside.invoke("e"))["name"] == "m"
                    break
                except Failure as error:  # a busy machine is slow to start and to answer
                    assert error.code in {"ModelNotReadyException", "ModelError"}

    run(scenario())


@pytest.mark.e2e
def test_requests_beyond_the_concurrency_are_throttled_and_the_others_answered(inside):
    async def scenario():
        async with inside.running():
            await bring_up(inside, most=2)
            holds = inside.hold(), inside.hold()
            calls = [asyncio.create_task(inside.invoke("e", {"until": hold.until})) for hold in holds]
            for hold in holds:
                await hold.reached()
            refused = await failure(inside.invoke("e"))
            assert (refused.code, refused.status) == ("ThrottlingException", 429)
            for hold in holds:
                hold.release()
            assert [(await call)["name"] for call in calls] == ["m", "m"]
            assert sorted(inside.metrics.values("Invocation4XXErrors", VariantName="v")) == [0, 0, 1]
            await inside.invoke("e")

    run(scenario())


@pytest.mark.e2e
def test_concurrency_can_be_changed_and_provisioned_concurrency_keeps_a_process(inside):
    async def scenario():
        async with inside.with_timing(serverless_idle=0.3).running():
            await bring_up(inside, most=1)

            async def wish(**config: int) -> None:
                wished = [{"VariantName": "v", "ServerlessUpdateConfig": config}]
                await inside.call(
                    "UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wished
                )

            assert "should be less than" in (await failure(wish(ProvisionedConcurrency=2))).message
            await wish(MaxConcurrency=3, ProvisionedConcurrency=1)
            (shown,) = (await inside.settled("e"))["ProductionVariants"]
            wanted = {"MemorySizeInMB": 2048, "MaxConcurrency": 3, "ProvisionedConcurrency": 1}
            assert shown["CurrentServerlessConfig"] == wanted
            holds = inside.hold(), inside.hold(), inside.hold()
            calls = [asyncio.create_task(inside.invoke("e", {"until": hold.until})) for hold in holds]
            for hold in holds:
                await hold.reached()
                hold.release()
            assert [(await call)["name"] for call in calls] == ["m"] * 3
            await asyncio.sleep(0.6)
            assert len(ours(inside)) == 1
            counted = [{"VariantName": "v", "DesiredInstanceCount": 2}]
            refused = await failure(
                inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=counted)
            )
            assert "takes no DesiredInstanceCount" in refused.message

    run(scenario())


@pytest.mark.e2e
def test_a_serverless_endpoint_becomes_one_with_instances_but_never_the_reverse(inside, variant):
    async def scenario():
        async with inside.running():
            await bring_up(inside)
            await inside.config("c2", variant("v", "m"))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            described = await inside.settled("e")
            assert described["EndpointConfigName"] == "c2"
            assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
            await inside.invoke("e")
            back = failure(inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c"))
            refused = await back
            assert refused.code == "ValidationException"
            assert "cannot be updated to a serverless one" in refused.message

    run(scenario())


@pytest.mark.e2e
def test_a_serverless_model_that_cannot_start_fails_its_endpoint(inside):
    async def scenario():
        async with inside.running():
            await inside.model("m", start="raise")
            await inside.config("c", on_demand())
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "did not pass the ping health check" in described["FailureReason"]

    run(scenario())
