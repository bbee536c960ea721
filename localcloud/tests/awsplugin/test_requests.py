"""Properties that the local cloud does not hold yet reach it as AWS's own service model wants them."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from localcloud.awsplugin.lifecycle import served, service_of
from localcloud.awsplugin.values import equal

MODEL = botocore.session.get_session().get_service_model("sagemaker")
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model:1"
VARIANT = {"variantName": "v1", "modelName": "m", "instanceType": "ml.m5.large", "initialInstanceCount": 1}
SOURCE = {"s3DataSources": [{"s3Uri": "s3://b/m/", "s3DataType": "S3Prefix", "compressionType": "None"}]}
CANARY = {
    "type": "CANARY",
    "waitIntervalInSeconds": 60,
    "canarySize": {"type": "CAPACITY_PERCENT", "value": 10},
}

CASES = [
    pytest.param(
        "aws:sagemaker/model:Model",
        {
            "executionRoleArn": "arn:aws:iam::000000000000:role/m",
            "containers": [{"image": IMAGE, "containerHostname": "a"}, {"image": IMAGE, "containerHostname": "b"}],
            "inferenceExecutionConfig": {"mode": "Direct"},
        },
        {"InferenceExecutionConfig": {"Mode": "Direct"}},
        id="a pipeline of containers",
    ),
    pytest.param(
        "aws:sagemaker/model:Model",
        {
            "executionRoleArn": "arn:aws:iam::000000000000:role/m",
            "primaryContainer": {
                "image": IMAGE,
                "modelDataSource": SOURCE,
                "imageConfig": {"repositoryAccessMode": "Platform"},
                "multiModelConfig": {"modelCacheSetting": "Enabled"},
            },
        },
        {
            "PrimaryContainer": {
                "Image": IMAGE,
                "ModelDataSource": {
                    "S3DataSource": {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
                },
                "ImageConfig": {"RepositoryAccessMode": "Platform"},
                "MultiModelConfig": {"ModelCacheSetting": "Enabled"},
            }
        },
        id="a model that is not compressed",
    ),
    pytest.param(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {
            "productionVariants": [VARIANT],
            "shadowProductionVariants": [{**VARIANT, "variantName": "shadow", "initialVariantWeight": 0.5}],
            "asyncInferenceConfig": {
                "clientConfig": {"maxConcurrentInvocationsPerInstance": 2},
                "outputConfig": {
                    "s3OutputPath": "s3://b/out",
                    "s3FailurePath": "s3://b/failed",
                    "notificationConfig": {"errorTopic": "arn:aws:sns:us-east-1:000000000000:t"},
                },
            },
        },
        {
            "AsyncInferenceConfig": {
                "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
                "OutputConfig": {
                    "S3OutputPath": "s3://b/out",
                    "S3FailurePath": "s3://b/failed",
                    "NotificationConfig": {"ErrorTopic": "arn:aws:sns:us-east-1:000000000000:t"},
                },
            }
        },
        id="shadow and asynchronous",
    ),
    pytest.param(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {
            "productionVariants": [
                {
                    "variantName": "v1",
                    "modelName": "m",
                    "managedInstanceScaling": {"status": "ENABLED", "minInstanceCount": 1, "maxInstanceCount": 2},
                    "enableSsmAccess": True,
                    "coreDumpConfig": {"destinationS3Uri": "s3://b/dumps", "kmsKeyId": "k"},
                }
            ]
        },
        {
            "ProductionVariants": [
                {
                    "VariantName": "v1",
                    "ModelName": "m",
                    "InitialVariantWeight": 1,
                    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2},
                    "EnableSSMAccess": True,
                    "CoreDumpConfig": {"DestinationS3Uri": "s3://b/dumps", "KmsKeyId": "k"},
                }
            ]
        },
        id="scaling and core dumps",
    ),
    pytest.param(
        "aws:sagemaker/endpoint:Endpoint",
        {
            "endpointConfigName": "c",
            "deploymentConfig": {
                "blueGreenUpdatePolicy": {"trafficRoutingConfiguration": CANARY, "terminationWaitInSeconds": 30},
                "autoRollbackConfiguration": {"alarms": [{"alarmName": "errors"}]},
            },
        },
        {
            "DeploymentConfig": {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": 60,
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                    },
                    "TerminationWaitInSeconds": 30,
                },
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
            }
        },
        id="guardrails",
    ),
]


class Recorder:
    """A scope whose clients check each request against the service's model, and answer with what they were told."""

    region = "us-east-1"

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        operation = "".join(part.title() for part in name.split("_"))
        shape = MODEL.operation_model(operation).input_shape

        def call(**request: Any) -> dict[str, Any]:
            report = ParamValidator().validate(request, shape)
            assert not report.has_errors(), report.generate_report()
            if operation.startswith("Create"):
                self.request = request
            return {**self.request, **dict.fromkeys(("ModelArn", "EndpointConfigArn", "EndpointArn"), "arn")} | {
                "EndpointStatus": "InService"
            }

        return call


@pytest.mark.parametrize(("token", "inputs", "members"), CASES)
def test_the_request_is_what_the_service_model_says(
    token: str, inputs: dict[str, Any], members: dict[str, Any]
) -> None:
    spec, recorder = served(token), Recorder()
    assert service_of(spec) == "sagemaker"
    wanted = {"name": "it", "tags": {}, **inputs}
    spec.create(recorder, wanted)  # pyright: ignore[reportArgumentType]
    assert {name: recorder.request[name] for name in members} == members
    live = spec.read(recorder, wanted) or {}  # pyright: ignore[reportArgumentType]
    for name, value in inputs.items():
        if not spec.props[name].local:
            assert equal(spec.props[name], value, live.get(name)), name
