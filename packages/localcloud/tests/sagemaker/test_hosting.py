"""Endpoints and their processes, in this process and with short durations."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from .conftest import failure, gone, ours, run

pytestmark = pytest.mark.e2e


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
            hold = inside.hold()
            slow = asyncio.create_task(inside.invoke("e", {"until": hold.until}))
            await hold.reached()
            fast = {(await inside.invoke("e"))["pid"] for _ in range(10)}
            hold.release()
            assert fast == set(ours(inside)) - {(await slow)["pid"]}

    run(scenario())


@pytest.mark.parametrize(
    ("start", "timeout", "reason"),
    [
        ("raise", 100, "ImportError: no module named plausible"),
        ("unwell", 1.5, "No 200 from /ping within 1.5 s"),
        ("hang", 1.5, "No 200 from /ping within 1.5 s"),
    ],
)
def test_a_model_that_cannot_start_fails_with_its_last_output(inside, variant, start, timeout, reason):
    async def scenario():
        async with inside.with_timing(startup=timeout).running():
            await inside.model("m", start=start)
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
        async with inside.with_timing(startup=1000).running():
            await inside.model("m", start="raise")
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["EndpointStatus"] == "Failed"
            assert "exited with code 1 3 times" in described["FailureReason"]
            assert described["FailureReason"].count("Traceback") == 1

    run(scenario())


def test_a_slow_start_within_the_timeout_comes_into_service(inside, variant):
    async def scenario():
        async with inside.running():
            hold = inside.hold()
            await inside.model("m", start="held", until=hold.until)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert described["EndpointStatus"] == "Creating"
            assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "c"
            refused = await failure(inside.call("DeleteEndpoint", EndpointName="e"))
            assert "Cannot update in-progress endpoint" in refused.message
            hold.release()
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


@pytest.mark.usefixtures("no_engine")
def test_an_image_that_cannot_run_is_named(inside, variant):
    async def scenario():
        async with inside.running():
            image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unknown:1"
            inside.aws.describe_images = lambda **_: {"imageDetails": [{"imageDigest": "sha256:ab"}]}
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
        async with inside.with_timing(backoff=1000, most_backoff=1000).running():
            await inside.endpoint("e", a=1)
            os.kill(ours(inside)[0], signal.SIGKILL)
            while (refused := await failure(inside.invoke("e"))).code == "ModelError":  # it was not noticed yet
                await asyncio.sleep(0.02)
            assert (refused.status, refused.code) == (503, "ServiceUnavailable")
            assert inside.metrics.values("Invocation5XXErrors", EndpointName="e", VariantName="a")[-1] == 1

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
            hold = inside.hold()
            late = await failure(inside.invoke("e", {"until": hold.until}))
            hold.release()
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


def test_an_endpoint_that_is_gone_says_nothing_any_more(inside, variant):
    """Who deletes its log group next has it gone for good, and a stack that is made again finds the name free."""

    async def scenario() -> None:
        async with inside.with_timing(logs=600).running():
            await inside.model("m")
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await inside.settled("e")
            assert not inside.aws.lines, "no upload is due"
            await inside.call("DeleteEndpoint", EndpointName="e")
            while "EndpointName" in str(await inside.call("ListEndpoints")):
                await asyncio.sleep(0.02)
            ((group, _), lines), *_ = inside.aws.lines.items()
            assert (group, lines[0]) == ("/aws/sagemaker/Endpoints/e", "m starts: ok")

    run(scenario())
