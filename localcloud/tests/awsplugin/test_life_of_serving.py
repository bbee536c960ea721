"""Model package groups, models, configurations and endpoints, each from its creation to its end."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.e2e

TAGS = {"team": "models", "stage": "test"}


def variants(model: str, instances: int = 1) -> list[dict[str, Any]]:
    variant = {"variantName": "v1", "modelName": model, "instanceType": "ml.m5.large"}
    return [{**variant, "initialInstanceCount": instances, "initialVariantWeight": 1}]


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
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["token"].rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(
    world: Any, live_through: Any, case: dict[str, Any]
) -> None:
    live_through(world, **case)
