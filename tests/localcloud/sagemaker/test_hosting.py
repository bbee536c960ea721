"""Endpoints and their processes, in this process and with short durations."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from localcloud.sagemaker.processes import SERVER_MARK, marked

pytestmark = pytest.mark.e2e


def run(scenario: Any) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, 100))


async def failure(call: Any) -> Any:
    with pytest.raises(Exception, match=r"\d") as caught:
        await call
    return caught.value


def ours(inside: Any) -> list[int]:
    return marked(SERVER_MARK, str(inside.platform.state.resolve()))


async def gone(inside: Any, endpoint: str) -> None:
    while True:
        listed = await inside.call("ListEndpoints")
        if endpoint not in [summary["EndpointName"] for summary in listed["Endpoints"]]:
            return
        await asyncio.sleep(0.02)


def test_an_endpoint_serves_its_archive_by_the_container_contract(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            answer = await inside.invoke("e", accept="application/json")
            assert answer["name"] == "e-a"
            assert answer["environment"]["GREETING"] == "e-a"
            assert answer["environment"]["SM_MODEL_DIR"].startswith(str(inside.platform.run))
            assert answer["accept"] == "application/json"
            assert answer["headers"]["x-Amzn-Invoked-Production-Variant"] == "a"
            assert answer["headers"]["Content-Type"] == "application/json"
            assert len(ours(inside)) == 1
        assert ours(inside) == []

    run(scenario())


def test_a_variant_has_as_many_processes_as_instances_and_all_take_requests(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.config("c", variant("v", "m", InitialInstanceCount=2))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await inside.settled("e")
            assert {(await inside.invoke("e"))["pid"] for _ in range(40)} == set(ours(inside))
            wish = [{"VariantName": "v", "DesiredInstanceCount": 1}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            described = await inside.settled("e")
            assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
            assert len(ours(inside)) == 1
            assert inside.metrics.values("InvocationsPerInstance", VariantName="v")[0] == 0.5

    run(scenario())


def test_least_outstanding_requests_go_to_the_idle_instance(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            routing = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
            await inside.config("c", variant("v", "m", InitialInstanceCount=2, RoutingConfig=routing))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await inside.settled("e")
            slow = asyncio.create_task(inside.invoke("e", {"sleep": 1}))
            await asyncio.sleep(0.1)
            fast = {(await inside.invoke("e"))["pid"] for _ in range(10)}
            assert fast == set(ours(inside)) - {(await slow)["pid"]}

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"start": "raise"}, "ImportError: no module named plausible"),
        ({"start": "unwell"}, "No 200 from /ping within 1.5 s"),
        ({"start": "hang"}, "No 200 from /ping within 1.5 s"),
    ],
)
def test_a_model_that_cannot_start_fails_with_its_last_output(inside, variant, behaviour, reason):
    async def scenario():
        async with inside.with_timing(startup=1.5).running():
            await inside.model("m", **behaviour)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "did not pass the ping health check" in described["FailureReason"]
            assert reason in described["FailureReason"]
            assert ours(inside) == []
            refused = await failure(inside.invoke("e"))
            assert refused.code == "ValidationError"
            assert refused.message == "Endpoint e of account 000000000000 not found."
            await inside.call("DeleteEndpoint", EndpointName="e")
            await gone(inside, "e")

    run(scenario())


def test_a_crash_loop_fails_long_before_the_start_up_timeout(inside, variant):
    async def scenario():
        async with inside.with_timing(startup=60).running():
            await inside.model("m", start="raise")
            await inside.config("c", variant("v", "m"))
            began = time.monotonic()
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "exited with code 1 3 times" in described["FailureReason"]
            assert time.monotonic() - began < 15

    run(scenario())


def test_a_slow_start_within_the_timeout_comes_into_service(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m", start="slow", seconds=1.5)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert described["EndpointStatus"] == "Creating"
            assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "c"
            refused = await failure(inside.call("DeleteEndpoint", EndpointName="e"))
            assert "Cannot update in-progress endpoint" in refused.message
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"

    run(scenario())


@pytest.mark.parametrize("archive", [b"not a gzip", b"\x1f\x8b\x08\x00cut short", b""])
def test_a_corrupted_archive_fails_the_endpoint_in_words(inside, variant, archive):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            inside.aws.objects["models", "m/model.tar.gz"] = archive
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "Failed to extract model data archive" in described["FailureReason"]
            assert "s3://models/m/model.tar.gz" in described["FailureReason"]

    run(scenario())


def test_an_archive_that_is_gone_fails_the_endpoint_in_words(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            del inside.aws.objects["models", "m/model.tar.gz"]
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "Failed to download model data" in described["FailureReason"]

    run(scenario())


def test_an_image_that_cannot_run_is_named(inside, variant):
    async def scenario():
        async with inside.running():
            image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unknown:1"
            await inside.call("CreateModel", ModelName="m", PrimaryContainer={"Image": image})
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert image in described["FailureReason"]

    run(scenario())


def test_a_crashed_process_is_a_model_error_then_is_replaced(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            before = (await inside.invoke("e"))["pid"]
            crashed = await failure(inside.invoke("e", {"do": "crash"}))
            assert (crashed.status, crashed.code) == (424, "ModelError")
            assert crashed.document["OriginalStatusCode"] == 0
            assert inside.metrics.values("Invocation5XXErrors") == [0, 1]
            while True:
                try:
                    after = (await inside.invoke("e"))["pid"]
                    break
                except Exception as error:
                    assert error.code in {"ServiceUnavailable", "ModelError"}
                    await asyncio.sleep(0.05)
            assert after != before
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"

    run(scenario())


def test_without_a_healthy_instance_the_answer_is_503_and_alarms_can_see_it(inside):
    async def scenario():
        async with inside.with_timing(backoff=5).running():
            await inside.endpoint("e", a=1)
            os.kill(ours(inside)[0], signal.SIGKILL)
            await asyncio.sleep(0.3)
            refused = await failure(inside.invoke("e"))
            assert (refused.status, refused.code) == (503, "ServiceUnavailable")
            assert inside.metrics.values("Invocation5XXErrors", EndpointName="e", VariantName="a") == [1]

    run(scenario())


def test_a_process_that_fails_its_health_checks_is_replaced(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            sick = (await inside.invoke("e", {"do": "sicken"}))["pid"]
            while sick in ours(inside):
                await asyncio.sleep(0.05)
            while True:
                try:
                    assert (await inside.invoke("e"))["pid"] != sick
                    break
                except Exception as error:
                    assert error.code in {"ServiceUnavailable", "ModelError"}
                    await asyncio.sleep(0.05)

    run(scenario())


def test_an_answer_that_takes_too_long_is_a_model_error(inside):
    async def scenario():
        async with inside.with_timing(invocation=0.3).running():
            await inside.endpoint("e", a=1)
            late = await failure(inside.invoke("e", {"sleep": 1}))
            assert (late.status, late.document["OriginalStatusCode"]) == (424, 0)
            assert "timed out" in late.document["OriginalMessage"]
            assert inside.metrics.values("InvocationModelErrors") == [1]
            assert inside.metrics.values("Invocation5XXErrors") == [1]

    run(scenario())


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")])
def test_a_containers_error_becomes_a_model_error_with_its_status_and_words(inside, status, side):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            error = await failure(inside.invoke("e", {"status": status}))
            assert (error.status, error.code) == (424, "ModelError")
            assert error.document["OriginalStatusCode"] == status
            assert error.document["OriginalMessage"] == f'{{"error": "as asked: {status}"}}'
            assert error.message.startswith(f"Received {side} error ({status}) from primary with message")
            assert "/aws/sagemaker/Endpoints/e" in error.document["LogStreamArn"]
            await inside.invoke("e")
            # Good ones count 0, so that the average is the rate.
            assert inside.metrics.values("Invocation4XXErrors") == [float(status < 500), 0.0]
            assert inside.metrics.values("Invocation5XXErrors") == [float(status >= 500), 0.0]
            assert inside.metrics.values("Invocations") == [1, 1]
            assert len(inside.metrics.values("ModelLatency")) == 2
            assert all(value > 0 for value in inside.metrics.values("OverheadLatency"))

    run(scenario())


def test_payloads_up_to_25_mb_pass_and_larger_ones_do_not(inside):
    async def scenario():
        async with inside.with_timing(invocation=20).running():
            await inside.endpoint("e", a=1)
            limit = 25 * 1024 * 1024
            assert (await inside.invoke("e", b"x" * limit))["bytes"] == limit
            refused = await failure(inside.invoke("e", b"x" * (limit + 1)))
            assert refused.status == 413
            large = await failure(inside.invoke("e", {"do": "large", "bytes": limit + 1}))
            assert (large.status, large.code) == (424, "ModelError")

    run(scenario())


def test_a_target_variant_overrides_weights_and_an_unknown_one_is_refused(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=0)
            assert {(await inside.invoke("e"))["name"] for _ in range(50)} == {"e-a"}
            assert (await inside.invoke("e", x_amzn_sagemaker_target_variant="b"))["name"] == "e-b"
            refused = await failure(inside.invoke("e", x_amzn_sagemaker_target_variant="c"))
            assert (refused.status, refused.code) == (400, "ValidationError")

    run(scenario())


@pytest.mark.parametrize("header", ["target_model", "target_container_hostname", "inference_component", "session_id"])
def test_invocation_headers_without_a_meaning_here_are_refused(inside, header):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            refused = await failure(inside.invoke("e", **{f"x_amzn_sagemaker_{header}": "x"}))
            assert refused.code == "ValidationError"
            assert "does not support" in refused.message

    run(scenario())


def test_custom_attributes_go_to_the_container_and_come_back(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            answer = await inside.invoke("e", x_amzn_sagemaker_custom_attributes="trace=1")
            assert answer["custom_attributes"] == "trace=1"
            assert answer["headers"]["X-Amzn-SageMaker-Custom-Attributes"] == "seen"

    run(scenario())


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
        ({"VariantName": "a", "ServerlessUpdateConfig": {"MaxConcurrency": 1}}, "ServerlessUpdateConfig"),
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
            await inside.model("new", start="slow", seconds=1)
            await inside.config("c2", variant("a", "new"))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "e")
            assert (await inside.invoke("e"))["name"] == "e-a"
            slow = asyncio.create_task(inside.invoke("e", {"sleep": 1.5}))
            described = await inside.settled("e")
            assert described["EndpointConfigName"] == "c2"
            assert (await inside.invoke("e"))["name"] == "new"
            assert (await slow)["name"] == "e-a"  # the old fleet finished what it had begun
            while len(ours(inside)) > 1:
                await asyncio.sleep(0.02)

    run(scenario())


def test_a_failed_update_leaves_the_old_config_in_service_with_the_reason(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            await inside.model("bad", start="raise")
            await inside.config("c2", variant("a", "bad"))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
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
            await inside.model("m", start="slow", seconds=1)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
        assert ours(inside) == []
        async with inside.running():
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"
            assert (await inside.invoke("e"))["name"] == "m"

    run(scenario())


def test_an_interrupted_update_goes_on_after_a_restart(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            await inside.model("new", start="slow", seconds=1)
            await inside.config("c2", variant("a", "new"))
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
        async with inside.running():
            described = await inside.settled("e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "c2")
            assert (await inside.invoke("e"))["name"] == "new"

    run(scenario())


def test_a_deleted_endpoint_finishes_its_requests_and_is_gone(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            slow = asyncio.create_task(inside.invoke("e", {"sleep": 0.5}))
            await asyncio.sleep(0.1)
            await inside.call("DeleteEndpoint", EndpointName="e")
            assert (await failure(inside.invoke("e"))).code == "ValidationError"
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
            await asyncio.sleep(0.5)
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
