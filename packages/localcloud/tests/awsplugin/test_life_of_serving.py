"""Model package groups, models, configurations and endpoints, each from its creation to its end."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

pytestmark = pytest.mark.e2e

TAGS = {"team": "models", "stage": "test"}


def variants(model: str, instances: int = 1) -> list[dict[str, Any]]:
    variant = {"variantName": "v1", "modelName": model, "instanceType": "ml.m5.large"}
    return [{**variant, "initialInstanceCount": instances, "initialVariantWeight": 1}]


PIPELINE = "aws:sagemaker/pipeline:Pipeline"


def definition(message: str) -> str:
    """Of a pipeline that fails with a message; its spelling is no change."""
    step = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    return json.dumps({"Version": "2020-12-01", "Steps": [step]}, indent=2)


CASES: list[dict[str, Any]] = [
    {
        "token": "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        "inputs": lambda w: {
            "modelPackageGroupName": w.name("group"),
            "modelPackageGroupDescription": "all versions",
            "tags": TAGS,
        },
        "ident": lambda s: s["modelPackageGroupName"],
        "drift": lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["stage"]),
        "drifted": {"tags.stage"},
        "change": lambda w: {"tags": {"team": "other"}},
        "replace": lambda w: {"modelPackageGroupDescription": "some versions"},
        "first": True,
    },
    {
        "token": "aws:sagemaker/model:Model",
        "inputs": lambda w: {"name": w.name("served"), **w.model_inputs("served"), "tags": TAGS},
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("sagemaker").add_tags(
            ResourceArn=s["arn"], Tags=[{"Key": "team", "Value": "other"}]
        ),
        "drifted": {"tags.team"},
        "change": lambda w: {"tags": None},
        "replace": lambda w: {"enableNetworkIsolation": True},
        "first": True,
    },
    {
        "token": "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "inputs": lambda w: {
            "name": w.name("config"),
            "productionVariants": variants(w.model()),
            "kmsKeyArn": w.key()["arn"],
            "dataCaptureConfig": {
                "enableCapture": True,
                "initialSamplingPercentage": 50,
                "destinationS3Uri": "s3://captured/capture",
                "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
                "captureContentTypeHeader": {"jsonContentTypes": ["application/json"]},
            },
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["team"]),
        "drifted": {"tags.team"},
        "change": lambda w: {"tags": {"team": "models"}},
        "replace": lambda w: {"productionVariants": variants(w.model("model2"), instances=2)},
        "first": True,
    },
    {
        "token": "aws:sagemaker/endpoint:Endpoint",
        "inputs": lambda w: {"name": w.name("endpoint"), "endpointConfigName": w.config(), "tags": TAGS},
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["team"]),
        "drifted": {"tags.team"},
        "change": lambda w: {"endpointConfigName": w.config("config2")},
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:sagemaker/pipeline:Pipeline",
        "inputs": lambda w: {
            "pipelineName": w.name("flow"),
            "pipelineDisplayName": "flow",
            "pipelineDescription": "refuses",
            "roleArn": w.role()["arn"],
            "pipelineDefinition": definition("no"),
            "parallelismConfiguration": {"maxParallelExecutionSteps": 2},
            "tags": TAGS,
        },
        "ident": lambda s: s["pipelineName"],
        "drift": lambda w, s: w.client("sagemaker").update_pipeline(
            PipelineName=s["pipelineName"], PipelineDisplayName="other", PipelineDefinition=definition("changed")
        ),
        "drifted": {"pipelineDisplayName", "pipelineDefinition"},
        "change": lambda w: {
            "pipelineDefinition": definition("never"),
            "pipelineDescription": None,
            "parallelismConfiguration": {"maxParallelExecutionSteps": 3},
            "tags": None,
        },
        "replace": lambda w: {"pipelineName": w.name("other")},
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["token"].rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(
    world: Any, live_through: Any, case: dict[str, Any]
) -> None:
    live_through(world, **case)


def test_a_pipelines_definition_comes_from_s3_or_from_the_program(world: Any, plugin: Any) -> None:
    sagemaker, bucket, name = world.client("sagemaker"), world.bucket(), world.name("flow")
    for key in ("one", "two"):
        world.client("s3").put_object(Bucket=bucket, Key=key, Body=definition(key).encode())

    def message() -> str:
        found = json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"])
        return found["Steps"][0]["Arguments"]["ErrorMessage"]

    there = {"pipelineDefinitionS3Location": {"bucket": bucket, "objectKey": "one"}}
    inputs = {"pipelineName": name, "pipelineDisplayName": "flow", "roleArn": world.role()["arn"]}
    made = plugin.create(PIPELINE, {**inputs, **there}, name)
    world.made.append(made)
    assert message() == "one"
    assert plugin.changes(made) == set()
    assert plugin.refresh(made) == made
    for changes, expected in (
        ({"pipelineDefinitionS3Location": {"bucket": bucket, "objectKey": "two"}}, "two"),
        ({"pipelineDefinitionS3Location": None, "pipelineDefinition": definition("inline")}, "inline"),
        ({**there, "pipelineDefinition": None}, "one"),
    ):
        made = plugin.update(made, plugin.wanted(made, changes))
        assert message() == expected
        assert plugin.changes(made) == set()
        assert plugin.refresh(made) == made


def test_a_pipeline_that_cannot_be_is_refused(world: Any, plugin: Any, offline: Any) -> None:
    inputs = {"pipelineName": "p", "pipelineDisplayName": "p", "roleArn": "arn:aws:iam::000000000000:role/none"}
    for more, path, reason in (
        ({}, "pipelineDefinition", "either 'pipelineDefinition' or 'pipelineDefinitionS3Location'"),
        ({"pipelineDefinition": "{"}, "pipelineDefinition", "is not valid JSON"),
        ({"pipelineDefinition": "{}", "pipelineDefiniton": "{}"}, "pipelineDefiniton", "did you mean"),
        ({"pipelineDefinition": "{}", "roleArn": None}, "roleArn", "needs 'roleArn'"),
        (
            {"pipelineDefinition": "{}", "parallelismConfiguration": {"max": 1}},
            "parallelismConfiguration.max",
            "has no property 'max'",
        ),
    ):
        with pytest.raises(Exception, match=r"pipeline|role") as caught:
            offline.check(PIPELINE, {k: v for k, v in {**inputs, **more}.items() if v is not None})
        assert reason in caught.value.failures[path]  # pyrefly: ignore
    with pytest.raises(grpc.RpcError, match="Could not assume role"):
        plugin.create(PIPELINE, {**inputs, "pipelineName": world.name("p"), "pipelineDefinition": definition("no")})
    with pytest.raises(grpc.RpcError, match=r"ErrorMessages|definition"):
        wrong = definition("no").replace("ErrorMessage", "ErrorMessages")
        wanted = {**inputs, "pipelineName": world.name("p"), "roleArn": world.role()["arn"]}
        plugin.create(PIPELINE, {**wanted, "pipelineDefinition": wrong})
