"""Endpoints that do not become what was asked for: the state tells the truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from localcloud.awsplugin.wire import encode_map

pytestmark = pytest.mark.e2e

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


def partial(error: grpc.RpcError) -> Any:
    """The state that a failure brings with it, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            detail = provider_pb2.ErrorResourceInitFailed()
            assert status_pb2.Status.FromString(value).details[0].Unpack(detail)
            return detail
    return None


def test_an_endpoint_that_fails_to_come_up_is_in_no_state_as_with_the_genuine_provider(world: Any, plugin: Any) -> None:
    """It sets the id last: hashicorp/terraform-provider-aws, internal/service/sagemaker/endpoint.go."""
    inputs = {"name": world.name("broken"), "endpointConfigName": world.config("broken", start="raise")}
    with pytest.raises(grpc.RpcError, match="is Failed") as caught:
        plugin.create(ENDPOINT, inputs)
    assert partial(caught.value) is None
    with pytest.raises(grpc.RpcError, match="already exist"):
        plugin.create(ENDPOINT, {**inputs, "endpointConfigName": world.config("good")})
    assert world.client("sagemaker").describe_endpoint(EndpointName=inputs["name"])["EndpointStatus"] == "Failed"
    adopted = plugin.adopt(ENDPOINT, inputs["name"])
    assert plugin.changes(adopted) == set(), "nor does it know that an endpoint has failed"
    plugin.delete(adopted)
    assert plugin.refresh(adopted) is None


def test_an_update_that_sagemaker_rolls_back_is_an_error_and_leaves_the_state_as_it_was(
    world: Any, plugin: Any
) -> None:
    good, bad = world.config("good"), world.config("bad", start="raise")
    made = plugin.create(ENDPOINT, {"name": world.name("live"), "endpointConfigName": good})
    world.made.append(made)
    wanted = plugin.wanted(made, {"endpointConfigName": bad})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.update(made, wanted)
    assert f"was not updated to '{bad}'" in caught.value.details()
    assert f"still serves '{good}'" in caught.value.details()
    assert partial(caught.value) is None, "the engine keeps the state that it has"
    assert plugin.refresh(made) == made, "which is the truth"
    assert plugin.changes(made, wanted) == {"endpointConfigName"}, "the next update tries again"


def test_a_configuration_that_somebody_else_moved_an_endpoint_to_is_not_moved_again(world: Any, plugin: Any) -> None:
    first, second = world.config("first"), world.config("second")
    made = plugin.create(ENDPOINT, {"name": world.name("moved"), "endpointConfigName": first})
    world.made.append(made)
    sagemaker = world.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=made.ident, EndpointConfigName=second)
    updated = plugin.update(made, plugin.wanted(made, {"endpointConfigName": second}))
    assert updated.state["endpointConfigName"] == second
    assert sagemaker.describe_endpoint(EndpointName=made.ident)["EndpointConfigName"] == second


def test_a_configuration_that_is_ignored_is_left_alone_by_updates_of_other_properties(world: Any, plugin: Any) -> None:
    first, second = world.config("first"), world.config("second")
    made = plugin.create(ENDPOINT, {"name": world.name("rolled"), "endpointConfigName": first})
    world.made.append(made)
    sagemaker = world.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=made.ident, EndpointConfigName=second)
    while sagemaker.describe_endpoint(EndpointName=made.ident)["EndpointStatus"] != "InService":
        time.sleep(0.05)
    ignore = ("endpointConfigName",)
    seen = plugin.refresh(made)
    assert plugin.changes(seen, made.inputs, ignore) == set()
    updated = plugin.update(seen, plugin.wanted(made, {"tags": {"a": "b"}}), ignore)
    assert updated.state["endpointConfigName"] == second
    assert sagemaker.describe_endpoint(EndpointName=made.ident)["EndpointConfigName"] == second
    assert plugin.changes(updated, ignore=ignore) == set()


def test_a_cancelled_creation_leaves_the_endpoint_outside_the_state_as_the_genuine_provider_does(
    world: Any, hosting: Any, start_plugin: Any, connect: Any, shell_of: Any, *, tmp_path: Path
) -> None:
    config = world.config("slow", until=str(tmp_path / "go"))
    with start_plugin(shell_of(hosting)) as port:
        other = connect(port)
        inputs = other.check(ENDPOINT, {"name": world.name("slow"), "endpointConfigName": config})
        call = other.stub.Create.future(
            provider_pb2.CreateRequest(urn=f"urn:pulumi:a::b::{ENDPOINT}::slow", properties=encode_map(inputs))
        )
        while not world.client("sagemaker").list_endpoints(NameContains=inputs["name"])["Endpoints"]:
            time.sleep(0.05)
        other.stub.Cancel(empty_pb2.Empty())
        error = call.exception(timeout=120)
        assert "cancelled while waiting" in error.details()
        assert partial(error) is None
    (tmp_path / "go").touch()
    world.plugin.delete(world.plugin.adopt(ENDPOINT, inputs["name"]))
