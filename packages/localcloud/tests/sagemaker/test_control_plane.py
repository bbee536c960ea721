"""Requests and refusals of the control plane, in this process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from localcloud.sagemaker import wire

from .conftest import run

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model-serving:process"
NO_ROLE = "arn:aws:iam::000000000000:role/nobody"
SPECIFICATION = {
    "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://models/m/model.tar.gz"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(Exception, match=r"\d") as caught:
        await call
    return caught.value.code, caught.value.message


def test_packages_are_versioned_in_their_group_and_keep_what_they_were_given(inside):
    given = {
        "ModelPackageGroupName": "orders",
        "ModelPackageDescription": "a model",
        "InferenceSpecification": SPECIFICATION,
        "ModelApprovalStatus": "PendingManualApproval",
        "MetadataProperties": {"CommitId": "abc", "GeneratedBy": "pulumi"},
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://models/m/metrics.json"}}
        },
        "CustomerMetadataProperties": {"recipe": "0123", "log_loss": "0.49"},
    }

    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="orders")
            arns = [(await inside.call("CreateModelPackage", **given))["ModelPackageArn"] for _ in range(2)]
            assert arns == [f"{ARN}:model-package/orders/1", f"{ARN}:model-package/orders/2"]
            package = await inside.call("DescribeModelPackage", ModelPackageName=arns[1])
            assert given.items() <= package.items()
            assert (package["ModelPackageVersion"], package["ModelPackageStatus"]) == (2, "Completed")
            await inside.call("DeleteModelPackage", ModelPackageName=arns[1])
            third = await inside.call("CreateModelPackage", **given)
            assert third["ModelPackageArn"].endswith("/3")  # a number is never given out twice

    run(scenario())


METRIC = {"name": "auc", "type": "number", "value": 0.7}
CARD = {
    "model_overview": {"model_artifact": ["sha256:1"]},
    "evaluation_details": [
        {
            "name": "gates",
            "metric_groups": [{"name": "g", "metric_data": [{"name": "auc", "type": "number", "value": 1}]}],
        }
    ],
    "additional_information": {"custom_details": {"commit": "abc"}},
}


def test_a_package_keeps_its_model_card_until_that_is_archived(inside):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            card = {"ModelCardContent": json.dumps(CARD), "ModelCardStatus": "Draft"}
            given = {"ModelPackageGroupName": "g", "InferenceSpecification": SPECIFICATION}
            arn = (await inside.call("CreateModelPackage", **given, ModelCard=card))["ModelPackageArn"]

            async def kept():
                return (await inside.call("DescribeModelPackage", ModelPackageName=arn))["ModelCard"]

            async def update(**changes: Any) -> Any:
                return await inside.call("UpdateModelPackage", ModelPackageArn=arn, ModelCard=changes)

            assert await kept() == card
            await update(ModelCardContent="{}")
            assert await kept() == {"ModelCardContent": "{}", "ModelCardStatus": "Draft"}
            await update(ModelCardStatus="Archived")
            refused = await refusal(update(ModelCardContent=json.dumps(CARD)))
            assert refused == ("ValidationException", "Model Card is in Archived state.")
            assert (await kept())["ModelCardContent"] == "{}"

    run(scenario())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nothing", "is no JSON"),
        ([], "ModelCardContent is no object"),
        ({"model_package_details": {}}, "model_package_details is unknown, allowed are model_overview"),
        ({"model_overview": {"model_id": "m"}}, "model_id is unknown, allowed are model_creator, model_artifact"),
        ({"evaluation_details": [{"metric_groups": []}]}, "evaluation_details.1.name is missing"),
        ({"intended_uses": {"risk_rating": "none"}}, "risk_rating is 'none', allowed are High, Low, Medium, Unknown"),
        ({"additional_information": {"custom_details": {"a": 1}}}, "custom_details.a is no string"),
        ({"training_details": {"training_job_details": {"training_datasets": ["d"] * 16}}}, "16 items, allowed are 15"),
    ],
)
def test_a_model_card_that_does_not_fit_is_refused_by_member(inside, content, said):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            text = content if isinstance(content, str) else json.dumps(content)
            card = {"ModelCardContent": text, "ModelCardStatus": "Draft"}
            given = {"ModelPackageGroupName": "g", "InferenceSpecification": SPECIFICATION}
            code, message = await refusal(inside.call("CreateModelPackage", **given, ModelCard=card))
            assert (code, said in message) == ("ValidationException", True), message
            assert (await inside.call("ListModelPackages"))["ModelPackageSummaryList"] == []

    run(scenario())


def test_the_verdict_on_a_package_is_kept(inside):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            created = await inside.call(
                "CreateModelPackage", ModelPackageGroupName="g", CustomerMetadataProperties={"a": "1", "b": "2"}
            )
            arn = created["ModelPackageArn"]
            package = await inside.call("DescribeModelPackage", ModelPackageName=arn)
            assert package["ModelApprovalStatus"] == "PendingManualApproval"
            await inside.call(
                "UpdateModelPackage",
                ModelPackageArn=arn,
                ModelApprovalStatus="Rejected",
                ApprovalDescription="5XX rate 0.5 over 0.05",
                CustomerMetadataProperties={"c": "3"},
                CustomerMetadataPropertiesToRemove=["a"],
            )
            package = await inside.call("DescribeModelPackage", ModelPackageName=arn)
            assert package["ModelApprovalStatus"] == "Rejected"
            assert package["ApprovalDescription"] == "5XX rate 0.5 over 0.05"
            assert package["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
            listed = await inside.call("ListModelPackages", ModelPackageGroupName="g", ModelApprovalStatus="Approved")
            assert listed["ModelPackageSummaryList"] == []
            listed = await inside.call("ListModelPackages", ModelPackageGroupName="g", ModelApprovalStatus="Rejected")
            assert [summary["ModelPackageArn"] for summary in listed["ModelPackageSummaryList"]] == [arn]

    run(scenario())


def test_the_same_client_token_is_the_same_package(inside):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            calls = [inside.call("CreateModelPackage", ModelPackageGroupName="g", ClientToken="once") for _ in range(5)]
            assert len({answer["ModelPackageArn"] for answer in await asyncio.gather(*calls)}) == 1
            calls = [inside.call("CreateModelPackage", ModelPackageGroupName="g") for _ in range(5)]
            assert len({answer["ModelPackageArn"] for answer in await asyncio.gather(*calls)}) == 5

    run(scenario())


def test_a_group_with_packages_is_not_deleted(inside):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            await inside.call("CreateModelPackage", ModelPackageGroupName="g")
            code, message = await refusal(inside.call("DeleteModelPackageGroup", ModelPackageGroupName="g"))
            assert code == "ConflictException"
            assert f"{ARN}:model-package-group/g" in message
            await inside.call("DeleteModelPackage", ModelPackageName=f"{ARN}:model-package/g/1")
            await inside.call("DeleteModelPackageGroup", ModelPackageGroupName=f"{ARN}:model-package-group/g")
            code, message = await refusal(inside.call("DescribeModelPackageGroup", ModelPackageGroupName="g"))
            assert message == f"ModelPackageGroup {ARN}:model-package-group/g does not exist."

    run(scenario())


@pytest.mark.e2e
def test_a_model_may_be_a_package_that_was_approved(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            created = await inside.call(
                "CreateModelPackage", ModelPackageGroupName="g", InferenceSpecification=SPECIFICATION
            )
            container = {"ModelPackageName": created["ModelPackageArn"], "Environment": {"GREETING": "hello"}}
            code, message = await refusal(inside.call("CreateModel", ModelName="p", Containers=[container]))
            assert (code, "PendingManualApproval" in message) == ("ValidationException", True)
            await inside.call(
                "UpdateModelPackage", ModelPackageArn=created["ModelPackageArn"], ModelApprovalStatus="Approved"
            )
            await inside.call("CreateModel", ModelName="p", Containers=[container])
            described = await inside.call("DescribeModel", ModelName="p")
            assert described["Containers"] == [container]
            await inside.config("c", variant("v", "p"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await inside.settled("e")
            assert (await inside.invoke("e"))["environment"]["GREETING"] == "hello"

    run(scenario())


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        ("DescribeModel", {"ModelName": "x"}, f'Could not find model "{ARN}:model/x".'),
        ("DeleteModel", {"ModelName": "x"}, f'Could not find model "{ARN}:model/x".'),
        (
            "DescribeEndpointConfig",
            {"EndpointConfigName": "x"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (
            "CreateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "x"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        ("DescribeEndpoint", {"EndpointName": "x"}, f'Could not find endpoint "{ARN}:endpoint/x".'),
        ("DeleteEndpoint", {"EndpointName": "x"}, f'Could not find endpoint "{ARN}:endpoint/x".'),
        (
            "CreateModelPackage",
            {"ModelPackageGroupName": "x"},
            f"ModelPackageGroup {ARN}:model-package-group/x does not",
        ),
        ("DescribeModelPackage", {"ModelPackageName": "x/1"}, f"ModelPackage {ARN}:model-package/x/1 does not exist."),
        ("ListTags", {"ResourceArn": f"{ARN}:model/x"}, f'Could not find resource "{ARN}:model/x".'),
        ("CreateModel", {"ModelName": "x"}, "Container must have either an Image or a ModelPackageName."),
        (
            "CreateModel",
            {"ModelName": "x", "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://models/none"}},
            "Could not access model data at s3://models/none.",
        ),
        (
            "CreateModel",
            {"ModelName": "x", "ExecutionRoleArn": NO_ROLE, "PrimaryContainer": {"Image": IMAGE}},
            f'The execution role ARN "{NO_ROLE}" is invalid. Please ensure that the role exists and that its trust '
            'relationship policy allows the action "sts:AssumeRole" for the service principal '
            '"sagemaker.amazonaws.com".',
        ),
        (
            "CreateModel",
            {"ModelName": "x", "PrimaryContainer": {"Image": IMAGE.replace("model-serving", "unknown")}},
            f"Requested image {IMAGE.replace('model-serving', 'unknown')} not found.",
        ),
        (
            "CreateModel",
            {"ModelName": "x", "PrimaryContainer": {"Image": "docker.io/model-serving:process"}},
            'Using non-ECR image "docker.io/model-serving:process" without Vpc repository access mode is not',
        ),
        (
            "CreateModel",
            {"ModelName": "x", "Containers": [{"Image": IMAGE}, {"Image": IMAGE}]},
            "does not support Containers with more than one member",
        ),
    ],
)
def test_what_is_not_there_is_named_in_awss_words(inside, operation, request_, message):
    async def scenario():
        async with inside.running():
            code, said = await refusal(inside.call(operation, **request_))
            assert code == "ValidationException"
            assert message in said

    run(scenario())


def test_names_are_taken_once(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.config("c", variant("v", "m"))
            _, said = await refusal(inside.model("m"))
            assert said == f'Cannot create already existing model "{ARN}:model/m".'
            _, said = await refusal(inside.config("c", variant("v", "m")))
            assert said == f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/c".'
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            _, said = await refusal(inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c"))
            assert said == f'Cannot create already existing endpoint "{ARN}:endpoint/e".'

    run(scenario())


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("ManagedInstanceScaling", {"Status": "ENABLED"}, "ProductionVariants.1.ManagedInstanceScaling"),
        ("RoutingConfig", {"RoutingStrategy": "PREFIX_AWARE"}, "RoutingConfig.RoutingStrategy = PREFIX_AWARE"),
        ("CoreDumpConfig", {"DestinationS3Uri": "s3://b/k"}, "ProductionVariants.1.CoreDumpConfig"),
        ("InstanceType", "ml.imaginary.large", "Member must satisfy enum value set"),
        ("InitialInstanceCount", 0, "Member must have value greater than or equal to 1"),
        ("InitialInstanceCount", "1", "Member must be an integer"),
        ("VariantName", "no spaces", "Member must satisfy regular expression pattern"),
        ("ContainerStartupHealthCheckTimeoutInSeconds", 5, "greater than or equal to 60"),
        ("ModelName", None, "has no ModelName"),
        ("ModelName", "unknown", "Could not find model"),
        ("Misspelt", 1, "is not known"),
    ],
)
def test_a_variant_that_cannot_be_served_as_asked_is_refused_by_name(inside, variant, member, value, words):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            code, said = await refusal(inside.config("c", {**variant("v", "m"), member: value}))
            assert code == "ValidationException"
            assert words in said
            assert (await inside.call("ListEndpointConfigs"))["EndpointConfigs"] == []

    run(scenario())


@pytest.mark.parametrize("member", ["AsyncInferenceConfig", "ExplainerConfig"])
def test_kinds_of_hosting_that_are_not_there_are_refused_by_name(inside, variant, member):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            value: Any = {
                "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/k"}},
                "ExplainerConfig": {},
            }[member]
            code, said = await refusal(inside.config("c", variant("v", "m"), **{member: value}))
            assert code == "ValidationException"
            assert said.startswith("The local SageMaker does not support in CreateEndpointConfig:")
            assert member in said

    run(scenario())


def test_variants_have_names_of_their_own(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            _, said = await refusal(inside.config("c", variant("v", "m"), variant("v", "m")))
            assert "repeated: v" in said

    run(scenario())


def test_weights_that_sum_to_zero_cannot_be_created(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.config("c", variant("v", "m", 0))
            _, said = await refusal(inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c"))
            assert "weights of all production variants are 0" in said

    run(scenario())


def test_operations_that_are_not_there_are_named(inside):
    async def scenario():
        async with inside.running():
            code, said = await refusal(inside.call("CreateTransformJob"))
            assert code == "UnknownOperationException"
            assert said.startswith(
                "The local SageMaker does not implement CreateTransformJob. It implements AddAssociation,"
            )
            code, said = await refusal(inside.call("Nonsense"))
            assert said == "SageMaker has no operation 'Nonsense'."

    run(scenario())


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_document_is_refused(inside, body):
    async def scenario():
        async with inside.running():
            headers = {"x-amz-target": "SageMaker.ListModels"}
            status, answered, _ = await inside.service.handle("POST", "/", headers, body, {})
            assert (status, answered["x-amzn-ErrorType"]) == (400, "SerializationException")

    run(scenario())


def test_an_answer_that_aws_would_not_send_is_an_internal_failure(inside):
    async def bad_answer(request):
        return {"Models": [{"ModelName": "only a name"}]}

    control = wire.ControlPlane({"ListModels": bad_answer})
    status, _, body = asyncio.run(control.handle("SageMaker.ListModels", b"{}"))
    assert status == 500
    assert "modelArn" in json.loads(body)["message"]


def test_lists_are_paged_sorted_and_filtered(inside):
    async def names(**request: Any) -> list[str]:
        found, token = [], {}
        while True:
            page = await inside.call("ListModels", **request, **token)
            found += [model["ModelName"] for model in page["Models"]]
            if "NextToken" not in page:
                return found
            token = {"NextToken": page["NextToken"]}

    async def scenario():
        async with inside.running():
            wanted = [f"m{number:02d}" for number in range(23)]
            for name in wanted:
                await inside.model(name)
                await asyncio.sleep(0.002)  # times have milliseconds
            assert len((await inside.call("ListModels"))["Models"]) == 10
            assert await names() == wanted[::-1]
            assert await names(MaxResults=4, SortOrder="Ascending") == wanted
            assert await names(SortBy="Name", SortOrder="Descending", MaxResults=100) == wanted[::-1]
            assert await names(NameContains="M1") == [name for name in wanted[::-1] if "m1" in name]
            created = (await inside.call("DescribeModel", ModelName="m11"))["CreationTime"]
            assert await names(CreationTimeAfter=created) == wanted[:11:-1]
            assert await names(CreationTimeBefore=created, SortOrder="Ascending") == wanted[:11]
            page = await inside.call("ListModels")
            for token, filters in (("nonsense", {}), (page["NextToken"], {"NameContains": "m"})):
                code, said = await refusal(inside.call("ListModels", NextToken=token, **filters))
                assert (code, said.startswith("Invalid pagination token")) == ("ValidationException", True)

    run(scenario())


@pytest.mark.e2e
def test_endpoints_are_listed_by_status(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("good", a=1)
            await inside.model("bad", start="raise")
            await inside.config("bad", variant("v", "bad"))
            await inside.call("CreateEndpoint", EndpointName="bad", EndpointConfigName="bad")
            await inside.settled("bad")
            for status, expected in (("InService", ["good"]), ("Failed", ["bad"]), ("Creating", [])):
                listed = await inside.call("ListEndpoints", StatusEquals=status)
                assert [endpoint["EndpointName"] for endpoint in listed["Endpoints"]] == expected
            listed = await inside.call("ListEndpoints", SortBy="Status", SortOrder="Ascending")
            assert [endpoint["EndpointStatus"] for endpoint in listed["Endpoints"]] == ["Failed", "InService"]

    run(scenario())
