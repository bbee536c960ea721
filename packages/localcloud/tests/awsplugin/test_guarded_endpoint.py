"""Shadow variants and guarded updates as inputs of the local plugin."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from localcloud.awsplugin.services.sagemaker import ENDPOINT as ENDPOINT_NAMES

pytestmark = pytest.mark.e2e

CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


def guard(alarm: str, wait: int = 0) -> dict[str, Any]:
    return {
        "blueGreenUpdatePolicy": {
            "trafficRoutingConfiguration": {
                "type": "CANARY",
                "canarySize": {"type": "CAPACITY_PERCENT", "value": 50},
                "waitIntervalInSeconds": wait,
            },
            "terminationWaitInSeconds": 0,
            "maximumExecutionTimeoutInSeconds": 600,
        },
        "autoRollbackConfiguration": {"alarms": [{"alarmName": alarm}]},
    }


def alarm_of(world: Any, missing: str = "missing") -> str:
    """An alarm on a metric that nobody sends."""
    name = world.name("alarm")
    world.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="tests",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData=missing,
    )
    return name


def test_a_shadow_variant_is_made_and_read_back_as_it_was_asked_for(world: Any, plugin: Any) -> None:
    model = world.model()
    served = {"modelName": model, "instanceType": "ml.m5.large", "initialInstanceCount": 1}
    inputs = {
        "productionVariants": [{**served, "variantName": "live"}],
        "shadowProductionVariants": [{**served, "variantName": "shade", "initialVariantWeight": 0.5}],
    }
    made = plugin.create(CONFIG, {"name": world.name("shadowed"), **inputs})
    world.made.append(made)
    assert plugin.changes(plugin.refresh(made)) == set()
    live = world.client("sagemaker").describe_endpoint_config(EndpointConfigName=world.name("shadowed"))
    assert live["ShadowProductionVariants"][0]["InitialVariantWeight"] == 0.5


def test_an_update_is_done_as_its_deployment_config_says(world: Any, plugin: Any) -> None:
    first, second, alarm = world.config("first"), world.config("second"), alarm_of(world)
    inputs = {"name": world.name("guarded"), "endpointConfigName": first, "deploymentConfig": guard(alarm)}
    made = plugin.create(ENDPOINT, inputs)
    world.made.append(made)
    updated = plugin.update(made, plugin.wanted(made, {"endpointConfigName": second}))
    world.made[-1] = updated
    live = world.client("sagemaker").describe_endpoint(EndpointName=made.ident)
    assert live["EndpointConfigName"] == second
    policy = live["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert policy["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 50}
    assert plugin.changes(plugin.refresh(updated)) == set()


def test_a_guarded_update_by_anybody_is_read_back_and_would_replace_the_endpoint_unless_it_is_ignored(
    world: Any, plugin: Any
) -> None:
    """hashicorp/terraform-provider-aws, internal/service/sagemaker/endpoint.go: Optional, not Computed, ForceNew."""
    first, second = world.config("first"), world.config("second")
    made = plugin.create(ENDPOINT, {"name": world.name("moved"), "endpointConfigName": first})
    world.made.append(made)
    deployment = ENDPOINT_NAMES.request({"deploymentConfig": guard(alarm_of(world))}, "deploymentConfig")
    sagemaker = world.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=made.ident, EndpointConfigName=second, **deployment)
    while sagemaker.describe_endpoint(EndpointName=made.ident)["EndpointStatus"] != "InService":
        time.sleep(0.2)
    refreshed = plugin.refresh(made)
    found = plugin.diff(refreshed, made.inputs)
    assert list(found.replaces) == ["deploymentConfig"]
    assert found.deleteBeforeReplace
    ignored = plugin.diff(refreshed, made.inputs, ignore=["endpointConfigName", "deploymentConfig"])
    assert (list(ignored.diffs), list(ignored.replaces)) == ([], [])


def test_an_update_that_an_alarm_rolls_back_is_an_error_that_names_it(world: Any, plugin: Any) -> None:
    first, second, alarm = world.config("first"), world.config("second"), alarm_of(world, "breaching")
    made = plugin.create(ENDPOINT, {"name": world.name("alarmed"), "endpointConfigName": first})
    world.made.append(made)
    cloudwatch = world.client("cloudwatch")
    while cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] != "ALARM":
        time.sleep(0.2)
    wanted = plugin.wanted(made, {"endpointConfigName": second, "deploymentConfig": guard(alarm, wait=5)})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.update(made, wanted)
    said = caught.value.details()
    assert f"was not updated to '{second}'" in said
    assert f"in ALARM state: {alarm}" in said
    assert f"still serves '{first}'" in said
