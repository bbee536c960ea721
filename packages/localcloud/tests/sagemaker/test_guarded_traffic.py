"""Guarded deployments on a real local cloud: boto3, real alarms on real metrics, EventBridge, load from threads."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .asked import variant_of
from .guards import canary, linear, rolling, size
from .test_traffic import Load

pytestmark = pytest.mark.e2e  # the stage's cloud runs documented waits 60 times faster


def alarm_on(stage: Any, endpoint: str, config: str) -> str:
    """An alarm on the new fleet's own errors, as the developer guide's examples have it."""
    name = stage.name(f"errors-{config}")
    names = {"EndpointName": endpoint, "VariantName": "a", "EndpointConfigName": config}
    stage.cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": key, "Value": value} for key, value in names.items()],
        Statistic="Average",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0.2,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    return name


def bus_queue(stage: Any) -> str:
    """A queue that gets the endpoint events of the default bus."""
    queue = stage.cloud.client("sqs").create_queue(QueueName=stage.name("events"))["QueueUrl"]
    found = stage.cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn, events = found["Attributes"]["QueueArn"], stage.cloud.client("events")
    allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": arn}]})
    stage.cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name=stage.name("rule"), EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule=stage.name("rule"), Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def received(stage: Any, queue: str) -> list[dict[str, Any]]:
    """The events that wait in a queue."""
    sqs, found = stage.cloud.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def next_config(stage: Any, name: str, count: int = 1) -> str:
    config = stage.name(name)
    variant = variant_of("a", stage.model(f"{name}-a"), InitialInstanceCount=count)
    stage.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
    return config


def test_an_alarm_on_the_new_fleet_rolls_back_and_only_the_models_own_errors_are_seen(stage):
    endpoint = stage.endpoint("e", {"a": 1})
    new, queue = next_config(stage, "new"), bus_queue(stage)
    alarm = alarm_on(stage, endpoint, new)
    fault = {"endpoint": endpoint, "variant": "a", "effect": "error"}
    with Load(stage, endpoint, threads=2) as load:
        stage.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=new,
            DeploymentConfig=canary(50, wait=3600, termination=0, alarms=(alarm,)),
        )
        while "new-a" not in load.seen:
            assert stage.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating"
            time.sleep(0.05)
        assert load.errors == []
        stage.faults(fault)
        while stage.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating":
            time.sleep(0.05)
        stage.faults(None)
        described = stage.settled(endpoint)
        load.drained()  # the last request of the fault may fail after it has ended
        failed, load.errors = load.errors, []
        assert set(load.next()) == {"e-a"}
    # What failed is what the fault let fail; nothing was lost on the way.
    codes = {error.response["Error"]["Code"] for error in failed}
    assert codes == {"ModelError"}
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", stage.name("e"))
    assert f"in ALARM state: {alarm}" in described["FailureReason"]
    told, states = [], []
    while "IN_SERVICE" not in states:  # which an endpoint is before it tells
        told += [event for event in received(stage, queue) if event["detail"]["EndpointName"] == endpoint]
        states = [e["detail"]["EndpointStatus"] for e in told if e["detail-type"] == "SageMaker Endpoint State Change"]
    assert sorted(states) == ["IN_SERVICE", "ROLLING_BACK", "UPDATING"]  # a queue keeps no order
    kinds = {event["detail-type"] for event in told}
    assert kinds == {"SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"}
    assert {tuple(event["resources"]) for event in told} == {(described["EndpointArn"],)}


@pytest.mark.parametrize(
    ("guard", "count"),
    [
        (canary(50, wait=60, termination=30), 1),
        (linear(50, wait=60, termination=30), 1),
        (rolling(size(50), wait=30), 2),
    ],
)
def test_no_request_is_lost_in_any_deployment(stage, guard, count):
    endpoint = stage.endpoint("e", {"a": 1})
    if count > 1:
        wish = [{"VariantName": "a", "DesiredInstanceCount": count}]
        stage.sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=wish)
        stage.settled(endpoint)
    new = next_config(stage, "new", count)
    with Load(stage, endpoint, threads=3) as load:
        stage.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=guard)
        assert stage.settled(endpoint)["EndpointConfigName"] == new
        assert set(load.next()) == {"new-a"}
    assert load.errors == []
    assert set(load.seen) == {"e-a", "new-a"}


def test_boto3_meets_the_documented_refusals(stage):
    endpoint = stage.endpoint("e", {"a": 1})
    for guard, words in (
        (canary(60), "CanarySize is 60 %"),
        (linear(10, wait=3600), "should be larger than the total waiting time"),
        (canary(alarms=("nowhere",)), "Could not find the alarms"),
    ):
        with pytest.raises(stage.sagemaker.exceptions.ClientError, match=words) as caught:
            stage.sagemaker.update_endpoint(
                EndpointName=endpoint, EndpointConfigName=stage.name("e"), DeploymentConfig=guard
            )
        assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_shadow_variant_sees_copies(stage):
    models = {name: stage.model(name) for name in ("live", "shade")}
    shadowed = stage.name("shadowed")
    stage.sagemaker.create_endpoint_config(
        EndpointConfigName=shadowed,
        ProductionVariants=[variant_of("live", models["live"])],
        ShadowProductionVariants=[variant_of("shade", models["shade"])],
    )
    stage.sagemaker.create_endpoint(EndpointName=shadowed, EndpointConfigName=shadowed)
    assert stage.settled(shadowed)["EndpointStatus"] == "InService"
    assert {stage.invoke(shadowed)["name"] for _ in range(10)} == {"live"}
    dimensions = [{"Name": "EndpointName", "Value": shadowed}, {"Name": "VariantName", "Value": "shade"}]
    end = time.monotonic() + 200
    seen = 0.0
    while seen < 10 and time.monotonic() < end:
        now = time.time()
        found = stage.cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=dimensions,
            StartTime=now - 300,
            EndTime=now + 60,
            Period=60,
            Statistics=["Sum"],
        )
        seen = sum(point["Sum"] for point in found["Datapoints"])
        time.sleep(0.1)
    assert seen == 10
