"""Endpoints that change: weights, configurations, restarts and the end, in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.logs import ContainerLogs
from localcloud.server.platform import SystemClock

from .conftest import failure, gone, ours, run

pytestmark = pytest.mark.e2e


async def begin_update(inside, variant, model: str = "new", **behaviour) -> None:
    """Begin to move endpoint `e` to the config `c2` of a model that behaves as told, in its variant `a`."""
    await inside.model(model, **behaviour)
    await inside.config("c2", variant("a", model))
    await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")


def test_weights_are_wished_for_then_current_and_only_then_in_service(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=0)
            wish = [{"VariantName": "a", "DesiredWeight": 0.25}, {"VariantName": "b", "DesiredWeight": 0.75}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            during = await inside.call("DescribeEndpoint", EndpointName="e")
            if during["EndpointStatus"] == "Updating":
                assert [v["DesiredWeight"] for v in during["ProductionVariants"]] == [0.25, 0.75]
                assert [v["CurrentWeight"] for v in during["ProductionVariants"]] == [1, 0]
            after = await inside.settled("e")
            assert [v["CurrentWeight"] for v in after["ProductionVariants"]] == [0.25, 0.75]
            assert [v["DesiredWeight"] for v in after["ProductionVariants"]] == [0.25, 0.75]

    run(scenario())


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"VariantName": "c", "DesiredWeight": 1}, "Variant c of endpoint"),
        ({"VariantName": "a", "DesiredWeight": 0}, "weights of all production variants are 0"),
        ({"VariantName": "a", "DesiredInstanceCount": 0}, "at least 1 instance"),
        ({"VariantName": "a", "DesiredInstanceCount": 99}, "at most 20"),
        ({"VariantName": "a", "ServerlessUpdateConfig": {"MaxConcurrency": 1}}, "ServerlessUpdateConfig (supported: "),
    ],
)
def test_impossible_weights_and_capacities_are_refused_and_change_nothing(inside, wish, words):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=0)
            before = await inside.call("DescribeEndpoint", EndpointName="e")
            refused = await failure(
                inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=[wish])
            )
            assert words in refused.message
            assert await inside.call("DescribeEndpoint", EndpointName="e") == before

    run(scenario())


def test_an_update_moves_traffic_only_when_the_new_fleet_is_healthy(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            start, answer = inside.hold(), inside.hold()
            await begin_update(inside, variant, start="held", until=start.until)
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "e")
            assert (await inside.invoke("e"))["name"] == "e-a"
            slow = asyncio.create_task(inside.invoke("e", {"until": answer.until}))
            await answer.reached()
            start.release()
            described = await inside.settled("e")
            assert described["EndpointConfigName"] == "c2"
            assert (await inside.invoke("e"))["name"] == "new"
            answer.release()
            assert (await slow)["name"] == "e-a"  # the old fleet finished what it had begun
            while len(ours(inside)) > 1:
                await asyncio.sleep(0.02)

    run(scenario())


def test_a_failed_update_leaves_the_old_config_in_service_with_the_reason(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            await begin_update(inside, variant, start="raise")
            described = await inside.settled("e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "e")
            assert "no module named plausible" in described["FailureReason"]
            assert (await inside.invoke("e"))["name"] == "e-a"
            assert len(ours(inside)) == 1
            await inside.config("c3", variant("a", "e-a"))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c3")
            described = await inside.settled("e")
            assert described["EndpointConfigName"] == "c3"
            assert "FailureReason" not in described

    run(scenario())


@pytest.mark.parametrize("broken", ["a", "b"])
def test_an_update_that_fails_names_the_variant_whose_container_does_not_start(inside, variant, broken):
    """AWS's words: a rollout tells by them whose fault it is, also when the old champion cannot start again."""

    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            for name in "ab":
                await inside.model(f"new-{name}", start="raise" if name == broken else "ok")
            await inside.config("c2", variant("a", "new-a"), variant("b", "new-b", 0))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            reason = (await inside.settled("e"))["FailureReason"]
            assert reason.startswith(
                f"The primary container for production variant {broken} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            )
            assert (await inside.invoke("e"))["name"] == "e-a"

    run(scenario())


def test_an_update_that_fails_for_an_archive_names_its_address(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            await inside.model("good")
            inside.aws.objects["models", "e-a/model.tar.gz"] = b"changed"
            await inside.config("c2", variant("a", "e-a"), variant("b", "good", 0))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            reason = (await inside.settled("e"))["FailureReason"]
            assert "s3://models/e-a/model.tar.gz" in reason
            assert "s3://models/good/model.tar.gz" not in reason
            assert (await inside.invoke("e"))["name"] == "e-a"

    run(scenario())


@pytest.mark.parametrize(("excluded", "weights"), [([], [0.3, 0.7]), (["DesiredWeight"], [1, 1])])
def test_an_update_may_retain_the_weights_that_were_set(inside, variant, excluded, weights):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=1)
            wish = [{"VariantName": "a", "DesiredWeight": 0.3}, {"VariantName": "b", "DesiredWeight": 0.7}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            await inside.settled("e")
            await inside.config("c2", variant("a", "e-a"), variant("b", "e-b"))
            properties = [{"VariantPropertyType": name} for name in excluded]
            await inside.call(
                "UpdateEndpoint",
                EndpointName="e",
                EndpointConfigName="c2",
                RetainAllVariantProperties=True,
                ExcludeRetainedVariantProperties=properties,
            )
            described = await inside.settled("e")
            assert [v["CurrentWeight"] for v in described["ProductionVariants"]] == weights

    run(scenario())


def test_an_endpoint_outlives_its_model_and_config_even_through_a_restart(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=0)
            wish = [{"VariantName": "a", "DesiredWeight": 0}, {"VariantName": "b", "DesiredWeight": 1}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            await inside.settled("e")
            for variant in "ab":
                await inside.call("DeleteModel", ModelName=f"e-{variant}")
            await inside.call("DeleteEndpointConfig", EndpointConfigName="e")
            inside.aws.objects.clear()
            assert (await inside.invoke("e"))["name"] == "e-b"
        async with inside.running():
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert described["EndpointStatus"] in {"SystemUpdating", "InService"}
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"
            assert (await inside.invoke("e"))["name"] == "e-b"

    run(scenario())


def test_an_interrupted_creation_goes_on_after_a_restart(inside, variant):
    async def scenario():
        async with inside.running():
            hold = inside.hold()
            await inside.model("m", start="held", until=hold.until)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await hold.reached()
        assert ours(inside) == []
        hold.release()
        async with inside.running():
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"
            assert (await inside.invoke("e"))["name"] == "m"

    run(scenario())


def test_an_interrupted_update_goes_on_after_a_restart(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            hold = inside.hold()
            await begin_update(inside, variant, start="held", until=hold.until)
            await hold.reached()
        hold.release()
        async with inside.running():
            described = await inside.settled("e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "c2")
            assert (await inside.invoke("e"))["name"] == "new"

    run(scenario())


def test_a_deleted_endpoint_finishes_its_requests_and_is_gone(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            hold = inside.hold()
            slow = asyncio.create_task(inside.invoke("e", {"until": hold.until}))
            await hold.reached()
            await inside.call("DeleteEndpoint", EndpointName="e")
            assert (await failure(inside.invoke("e"))).code == "ValidationError"
            hold.release()
            assert (await slow)["name"] == "e-a"
            await gone(inside, "e")
            assert ours(inside) == []
            refused = await failure(inside.call("DescribeEndpoint", EndpointName="e"))
            assert refused.message == 'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e".'

    run(scenario())


def test_container_output_reaches_logs_under_the_variant_and_instance(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            await inside.invoke("e")
            while sum(map(len, inside.aws.lines.values())) < 2:
                await asyncio.sleep(0.02)
            ((group, stream),) = inside.aws.lines
            assert group == "/aws/sagemaker/Endpoints/e"
            assert stream.startswith("a/i-")
            assert inside.aws.lines[group, stream] == ["e-a starts: ok", "POST /invocations"]
            inside.aws.refused.add("PutLogEvents")
            await inside.invoke("e")
            await asyncio.sleep(0.5)
            inside.aws.refused.clear()
        assert inside.aws.lines[group, stream] == ["e-a starts: ok", "POST /invocations", "POST /invocations"]

    run(scenario())


class _SlowToRefuse:
    """Logs that refuses the first batch, after a while, and takes the rest."""

    def __init__(self) -> None:
        self.asked, self.taken = threading.Event(), list[str]()

    def create_log_group(self, **_: object) -> None:
        pass

    create_log_stream = create_log_group

    def put_log_events(self, logEvents: list[dict[str, Any]], **_: object) -> None:
        if not self.asked.is_set():
            self.asked.set()
            time.sleep(0.2)
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "PutLogEvents")
        self.taken += [event["message"] for event in logEvents]


class _Unreachable(_SlowToRefuse):
    """A Logs whose first answer is no answer of AWS at all."""

    def put_log_events(self, logEvents: list[dict[str, Any]], **more: object) -> None:
        if not self.asked.is_set():
            self.asked.set()
            raise FileNotFoundError("the file of certificates was removed")
        super().put_log_events(logEvents, **more)


def test_lines_wait_for_a_logs_that_cannot_be_reached_and_later_ones_still_arrive():
    async def scenario():
        logs = _Unreachable()
        collected = ContainerLogs(lambda: logs, SystemClock(), 0.01)
        collected.start()
        hear = collected.stream("group", "stream")
        hear("first")
        await asyncio.to_thread(logs.asked.wait)
        hear("second")
        while len(logs.taken) < 2:
            await asyncio.sleep(0.01)
        assert logs.taken == ["first", "second"]
        await collected.stop()

    run(scenario())


def test_lines_of_a_batch_that_is_refused_while_the_cloud_stops_are_put_after_all():
    async def scenario():
        logs = _SlowToRefuse()
        collected = ContainerLogs(lambda: logs, SystemClock(), 0.01)
        collected.start()
        collected.stream("group", "stream")("said last")
        await asyncio.to_thread(logs.asked.wait)
        await collected.stop()
        assert logs.taken == ["said last"]

    run(scenario())
