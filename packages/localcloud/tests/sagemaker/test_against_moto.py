"""The same calls to the local SageMaker and to moto's server: what differs is listed, and nothing else may.

moto checks little and keeps most of what it is given, so it is an independent witness of what is given back and of its
form, less so of refusals. Each step names the members in which the two differ; WHY says which of them is like AWS.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from .asked import job_of

pytestmark = pytest.mark.e2e

OURS, MOTOS = "000000000000", "123456789012"
IMAGE = f"{OURS}.dkr.ecr.us-east-1.amazonaws.com/model-serving:process"
ROLE = f"arn:aws:iam::{OURS}:role/model-serving"
WHY = {
    "taken": "AWS refuses a name that is taken; moto makes it again",
    "dropped": "moto forgets a member that was given, or that AWS fills in",
    "empty": "moto shows a structure that is not there as {}; botocore's model has required members in it",
    "invented": "moto fills in a person, a scan or a metric that never was",
    "conflict": "AWS refuses to delete a group that has packages",
}


def differences(ours: Any, moto: Any, path: str = "") -> set[str]:
    """Paths of the members in which two answers differ; of lists, the first item stands for all."""
    if isinstance(ours, dict) and isinstance(moto, dict):
        names = ours.keys() | moto.keys()
        return {p for name in names for p in differences(ours.get(name), moto.get(name), f"{path}.{name}".lstrip("."))}
    if isinstance(ours, list) and isinstance(moto, list) and len(ours) == len(moto):
        return {p for pair in zip(ours, moto, strict=True) for p in differences(*pair, path)}
    return set() if ours == moto else {path}


def comparable(value: Any) -> Any:
    """Without what cannot be equal: times (kept as such) and account numbers."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if hasattr(value, "tzinfo"):
        return "a time"
    return re.sub(f"{OURS}|{MOTOS}", "ACCOUNT", value) if isinstance(value, str) else value


class Witnesses:
    """Two SageMakers that are asked the same."""

    def __init__(self, ours: Any, moto: Any) -> None:
        self.clients = {OURS: ours, MOTOS: moto}

    def ask(self, operation: str, /, **request: Any) -> tuple[Any, Any]:
        """Both answers (or error codes), modulo account and time. ACCOUNT in an ARN becomes the right one."""
        ours, moto = (self._ask(account, operation, request) for account in (OURS, MOTOS))
        return ours, moto

    def same(self, operation: str, /, differ: dict[str, str] | None = None, **request: Any) -> Any:
        """Ask both; they must differ in exactly the given members, each for a reason of WHY."""
        ours, moto = self.ask(operation, **request)
        assert set((differ or {}).values()) <= WHY.keys()
        assert differences(ours, moto) == set(differ or {}), (operation, ours, moto)
        return ours

    def _ask(self, account: str, operation: str, request: dict[str, Any]) -> Any:
        said = {name: re.sub("ACCOUNT", account, v) if isinstance(v, str) else v for name, v in request.items()}
        try:
            answer = getattr(self.clients[account], operation)(**said)
        except ClientError as error:
            return {"Error": error.response["Error"]["Code"]}
        answer.pop("ResponseMetadata")
        return comparable(answer)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def both(stage: Any, moto: str) -> Witnesses:
    session = boto3.Session("test", "test", region_name="us-east-1")
    return Witnesses(
        stage.sagemaker, session.client("sagemaker", endpoint_url=moto, config=Config(retries={"max_attempts": 0}))
    )


def test_the_registry_answers_as_motos_does(both, stage):
    name, url = stage.name("group"), f"s3://{stage.bucket}/any/model.tar.gz"
    arn = f"arn:aws:sagemaker:us-east-1:ACCOUNT:model-package/{name}/1"
    tags = [{"Key": "team", "Value": "orders"}]
    statistics = {"Statistics": {"ContentType": "application/json", "S3Uri": url}}
    both.same("create_model_package_group", ModelPackageGroupName=name, ModelPackageGroupDescription="d", Tags=tags)
    both.same(
        "create_model_package_group", {"Error": "taken", "ModelPackageGroupArn": "taken"}, ModelPackageGroupName=name
    )
    dropped = {"ModelPackageGroupDescription": "dropped", "CreatedBy": "dropped"}
    both.same("describe_model_package_group", dropped, ModelPackageGroupName=name)
    both.same(
        "list_model_package_groups",
        {"ModelPackageGroupSummaryList.ModelPackageGroupDescription": "dropped"},
        NameContains=name,
    )
    both.same(
        "create_model_package",
        ModelPackageGroupName=name,
        ModelPackageDescription="d",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": url, "Environment": {"A": "B"}}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        },
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"recipe": "0123"},
        MetadataProperties={"CommitId": "abc", "GeneratedBy": "pulumi"},
        ModelMetrics={"ModelQuality": statistics},
        Tags=tags,
    )
    both.same("create_model_package", ModelPackageGroupName=name)
    invented = {
        "CreatedBy.UserProfileArn": "invented",
        "CreatedBy.UserProfileName": "invented",
        "CreatedBy.DomainId": "invented",
        "ModelPackageStatusDetails.ValidationStatuses": "invented",
        "ModelPackageStatusDetails.ImageScanStatuses": "invented",
    }
    described = both.same("describe_model_package", invented, ModelPackageName=arn)
    assert described["CustomerMetadataProperties"] == {"recipe": "0123"}
    listed = both.same(
        "list_model_packages",
        {"ModelPackageSummaryList.ModelApprovalStatus": "dropped"},
        ModelPackageGroupName=name,
    )
    assert [package["ModelPackageVersion"] for package in listed["ModelPackageSummaryList"]] == [1, 2]
    both.same("list_model_packages", ModelPackageGroupName=name, ModelApprovalStatus="Approved")
    both.same("update_model_package", ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
    invented |= {"LastModifiedBy.UserProfileArn": "invented", "LastModifiedBy.UserProfileName": "invented"}
    invented |= {"LastModifiedBy.DomainId": "invented", "CustomerMetadataProperties": "dropped"}
    described = both.same("describe_model_package", invented, ModelPackageName=arn)
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "good")
    both.same("delete_model_package_group", {"Error": "conflict"}, ModelPackageGroupName=name)
    both.same("describe_model_package_group", ModelPackageGroupName="none")
    both.same("describe_model_package", ModelPackageName="none/1")


def test_training_jobs_answer_as_motos_do(both, stage):
    job = job_of(stage.name("j"), depth="3")
    job["RoleArn"] = stage.role({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
    job["OutputDataConfig"]["S3OutputPath"] = f"s3://{stage.bucket}/{stage.prefix}"
    both.same("create_training_job", **job, Tags=[{"Key": "team", "Value": "orders"}])
    stage.over(stage.name("j"))
    differ = {
        "AlgorithmSpecification.MetricDefinitions": "invented",
        "FinalMetricDataList": "invented",
        "SecondaryStatusTransitions": "dropped",
        "TrainingTimeInSeconds": "dropped",
        "BillableTimeInSeconds": "dropped",
    }
    both.same("describe_training_job", differ, TrainingJobName=stage.name("j"))
    both.same("list_training_jobs", {"TrainingJobSummaries.SecondaryStatus": "dropped"}, NameContains=stage.prefix)
    both.same("describe_training_job", TrainingJobName="none")


def test_models_configs_and_endpoints_answer_as_motos_do(both, stage):
    name, model = stage.name("x"), stage.model("m")
    url = f"s3://{stage.bucket}/{model}/model.tar.gz"
    tags = [{"Key": "team", "Value": "orders"}]
    container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": {"A": "B"}}
    created = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    both.same("create_model", **created, Tags=tags)
    both.same("create_model", {"Error": "taken", "ModelArn": "taken"}, **created)
    differ = {"Containers": "empty", "VpcConfig": "empty", "PrimaryContainer.Mode": "dropped"}
    both.same("describe_model", differ, ModelName=name)
    both.same("list_models", NameContains=name)
    both.same("list_tags", {"Tags": "dropped"}, ResourceArn=f"arn:aws:sagemaker:us-east-1:ACCOUNT:model/{name}")
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    weighted = [{**variant, "InitialVariantWeight": 1.0}]
    both.same("create_endpoint_config", EndpointConfigName=name, ProductionVariants=weighted, Tags=tags)
    empty = {"DataCaptureConfig": "empty", "EnableNetworkIsolation": "dropped"}
    both.same("describe_endpoint_config", empty, EndpointConfigName=name)
    both.same("list_endpoint_configs", NameContains=name)
    both.same("create_endpoint", EndpointName=name, EndpointConfigName=name, Tags=tags)
    stage.settled(name)
    differ = {"ProductionVariants.DeployedImages": "dropped", "DataCaptureConfig": "empty"}
    both.same("describe_endpoint", differ, EndpointName=name)
    both.same("list_endpoints", NameContains=name, StatusEquals="InService")
    wish = [{"VariantName": "v", "DesiredWeight": 2.0}]
    both.same("update_endpoint_weights_and_capacities", EndpointName=name, DesiredWeightsAndCapacities=wish)
    stage.settled(name)
    differ |= {
        "ProductionVariants.CurrentInstanceCount": "dropped",
        "ProductionVariants.DesiredInstanceCount": "dropped",
    }
    both.same("describe_endpoint", differ, EndpointName=name)
    both.same("delete_endpoint", EndpointName=name)
    while "Error" not in both.ask("describe_endpoint", EndpointName=name)[0]:
        time.sleep(0.05)
    both.same("describe_endpoint", EndpointName=name)
    both.same("delete_endpoint_config", EndpointConfigName=name)
    both.same("describe_endpoint_config", EndpointConfigName=name)
    both.same("delete_model", ModelName=name)
    both.same("describe_model", ModelName=name)
    both.same("delete_model", ModelName=name)
    both.same("create_endpoint", EndpointName=name, EndpointConfigName="none")
