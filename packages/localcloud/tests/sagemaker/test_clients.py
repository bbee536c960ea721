"""Independent clients of a real local cloud: boto3, the AWS CLI, and the SageMaker SDK."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .clients import aws, environment, eventually, messages, run_sdk

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model-serving:process"
ROLE = "arn:aws:iam::000000000000:role/model-serving"
JSON = "application/json"

pytestmark = pytest.mark.e2e


def test_boto3_takes_an_endpoint_through_its_life(stage):
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{stage.bucket}/{stage.prefix}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": [JSON]},
    }
    endpoint = stage.name("e")
    config = stage.config("e", {"a": 1, "b": 0}, DataCaptureConfig=capture)
    stage.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    stage.sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=endpoint, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    answer = stage.runtime.invoke_endpoint(
        EndpointName=endpoint,
        ContentType=JSON,
        Accept=JSON,
        CustomAttributes="trace=1",
        InferenceId="order-1",
        TargetVariant="b",
        Body=b"{}",
    )
    assert json.loads(answer["Body"].read())["name"] == "e-b"
    assert (answer["InvokedProductionVariant"], answer["ContentType"]) == ("b", JSON)
    assert answer["CustomAttributes"] == "seen"
    with pytest.raises(stage.runtime.exceptions.ModelError) as error:
        stage.invoke(endpoint, {"status": 400})
    assert error.value.response["OriginalStatusCode"] == 400
    with pytest.raises(ClientError, match=r"\(413\).*HTTP content length exceeded 26214400 bytes"):
        stage.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x" * (25 * 1024 * 1024 + 1))

    (captured,) = eventually(
        lambda: stage.s3.list_objects_v2(Bucket=stage.bucket, Prefix=f"{stage.prefix}/capture/").get("Contents")
    )
    assert captured["Key"].startswith(f"{stage.prefix}/capture/{endpoint}/b/{datetime.now(UTC):%Y/%m/%d}")
    record = json.loads(stage.s3.get_object(Bucket=stage.bucket, Key=captured["Key"])["Body"].read())
    assert record["eventMetadata"]["inferenceId"] == "order-1"
    assert record["captureData"]["endpointInput"]["data"] == "{}"

    logs, group = stage.cloud.client("logs"), f"/aws/sagemaker/Endpoints/{endpoint}"
    eventually(lambda: "POST /invocations" in messages(logs, group, "b/"))
    assert "e-a starts: ok" in messages(logs, group, "a/")

    assert metric(stage, endpoint, "b", "Invocations", "Sum") == 1
    assert metric(stage, endpoint, "a", "Invocation4XXErrors", "Average") == 1
    assert metric(stage, endpoint, "b", "Invocation4XXErrors", "Average") == 0
    assert metric(stage, endpoint, "b", "ModelLatency", "Average") > 100
    assert 0 < metric(stage, endpoint, "b", "OverheadLatency", "Average") < 1e6

    stage.sagemaker.delete_endpoint(EndpointName=endpoint)
    stage.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=endpoint, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )


def metric(stage: Any, endpoint: str, variant: str, name: str, statistic: str) -> float:
    now = datetime.now(UTC)
    (point,) = stage.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=name,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=[statistic],
    )["Datapoints"]
    return point[statistic]


def test_the_aws_cli_reads_and_invokes(stage, tmp_path):
    endpoint = stage.endpoint("e", {"a": 1})

    described = aws(stage, "sagemaker", "describe-endpoint", "--endpoint-name", endpoint)
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"][0]["CurrentWeight"] == 1.0
    listed = aws(stage, "sagemaker", "list-models", "--name-contains", stage.prefix)
    assert [model["ModelName"] for model in listed["Models"]] == [stage.name("e-a")]
    wish = "VariantName=a,DesiredWeight=2"
    aws(
        stage,
        *("sagemaker", "update-endpoint-weights-and-capacities", "--endpoint-name", endpoint),
        *("--desired-weights-and-capacities", wish),
    )
    assert stage.settled(endpoint)["ProductionVariants"][0]["CurrentWeight"] == 2
    output = tmp_path / "answer.json"
    body = ("--content-type", JSON, "--body", "fileb:///dev/stdin")
    command = ["aws", "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint, *body, str(output)]
    done = subprocess.run(command, env=environment(stage), input=b"{}", capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["name"] == "e-a"


def test_the_sagemaker_sdk_registers_deploys_invokes_and_deletes(stage):
    archive = stage.model("m")
    program = f"""
        import json
        import boto3
        from sagemaker.core.resources import Endpoint, EndpointConfig, Model, ModelPackage, ModelPackageGroup
        from sagemaker.core.shapes import ContainerDefinition, ProductionVariant, Tag

        image, url = {IMAGE!r}, "s3://{stage.bucket}/{archive}/model.tar.gz"
        group = ModelPackageGroup.create(model_package_group_name="{stage.name("sdk")}")
        group.wait_for_status("Completed")
        # ModelPackage.create of this SDK reads a ModelPackageName from an answer that has none, on AWS neither.
        created = boto3.client("sagemaker").create_model_package(
            ModelPackageGroupName=group.model_package_group_name,
            InferenceSpecification={{
                "Containers": [{{"Image": image, "ModelDataUrl": url}}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            }},
            CustomerMetadataProperties={{"recipe": "abc"}},
        )
        package = ModelPackage.get(model_package_name=created["ModelPackageArn"])
        package.update(model_approval_status="Approved")
        package.refresh()
        assert package.model_approval_status == "Approved"
        assert package.model_package_version == 1
        (listed,) = ModelPackage.get_all(model_package_group_name=group.model_package_group_name)
        assert listed.model_package_arn == package.model_package_arn

        model = Model.create(
            model_name="{stage.name("sdk")}",
            primary_container=ContainerDefinition(model_package_name=package.model_package_arn),
            execution_role_arn={ROLE!r},
        )
        variant = ProductionVariant(
            variant_name="v", model_name=model.model_name, instance_type="ml.m5.large", initial_instance_count=1,
        )
        config = EndpointConfig.create(endpoint_config_name="{stage.name("sdk")}", production_variants=[variant])
        endpoint = Endpoint.create(
            endpoint_name="{stage.name("sdk")}",
            endpoint_config_name=config.endpoint_config_name,
            tags=[Tag(key="by", value="sdk")],
        )
        endpoint.wait_for_status("InService", poll=1)
        answer = endpoint.invoke(body=json.dumps({{}}), content_type="application/json", target_variant="v")
        assert json.loads(answer.body.read())["name"] == "m"
        endpoint.update_weights_and_capacities([{{"variant_name": "v", "desired_weight": 3.0}}])
        endpoint.wait_for_status("InService", poll=1)
        endpoint.refresh()
        assert endpoint.production_variants[0].current_weight == 3
        endpoint.delete()
        endpoint.wait_for_delete(poll=1)
        config.delete()
        model.delete()
        # After a refresh the SDK has lost the package's name, which DescribeModelPackage does not tell of a version.
        boto3.client("sagemaker").delete_model_package(ModelPackageName=created["ModelPackageArn"])
        group.delete()
        print("done")
    """
    run_sdk(stage, program)


def test_the_sagemaker_sdk_writes_a_lineage_and_asks_it(stage):
    name = stage.name("lineage")
    program = f"""
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.lineage.action import Action
        from sagemaker.core.lineage.artifact import Artifact, DatasetArtifact
        from sagemaker.core.lineage.association import Association
        from sagemaker.core.lineage.context import Context, EndpointContext
        from sagemaker.core.lineage.query import (
            LineageEntityEnum, LineageFilter, LineageQuery, LineageQueryDirectionEnum, LineageSourceEnum,
        )

        session = Session()
        endpoint_arn = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
        data = Artifact.create(
            artifact_name="data", source_uri="s3://{name}/data", artifact_type="DataSet", properties={{"rows": "3"}},
            sagemaker_session=session,
        )
        model = Artifact.create(source_uri="s3://{name}/model", artifact_type="Model", sagemaker_session=session)
        deployed = Action.create(
            action_name="{name}", source_uri=endpoint_arn, action_type="ModelDeployment", status="InProgress",
            sagemaker_session=session,
        )
        served = Context.create(
            context_name="{name}", source_uri=endpoint_arn, context_type="Endpoint", sagemaker_session=session
        )
        chain = [data.artifact_arn, model.artifact_arn, deployed.action_arn, served.context_arn]
        for source, destination in zip(chain, chain[1:]):
            Association.create(
                source_arn=source, destination_arn=destination, association_type="ContributedTo",
                sagemaker_session=session,
            )
        data.properties, data.properties_to_remove = {{"rows": "4"}}, []
        data.save()
        data.set_tag({{"Key": "team", "Value": "a"}})
        loaded = DatasetArtifact.load(artifact_arn=data.artifact_arn, sagemaker_session=session)
        assert loaded.properties == {{"rows": "4"}}

        (listed,) = Context.list(source_uri=endpoint_arn, sagemaker_session=session)
        endpoint = EndpointContext.load(context_name=listed.context_name, sagemaker_session=session)
        found = LineageQuery(session).query(
            start_arns=[endpoint.context_arn], direction=LineageQueryDirectionEnum.ASCENDANTS,
            query_filter=LineageFilter(entities=[LineageEntityEnum.ARTIFACT], sources=[LineageSourceEnum.DATASET]),
        )
        assert [edge.association_type for edge in found.edges] == ["ContributedTo"] * 3
        assert {{vertex.arn for vertex in found.vertices}} == set(chain)
        assert [one.source.source_uri for one in endpoint.dataset_artifacts()] == ["s3://{name}/data"]
        assert [one.context_name for one in loaded.endpoint_contexts()] == ["{name}"]

        model.delete(disassociate=True)
        deployed.delete(disassociate=True)
        for entity in (data, served):
            entity.delete()
        print("done")
    """
    run_sdk(stage, program)


def test_a_lineage_needs_rights_on_both_of_its_entities(stage):
    source = {"SourceUri": f"s3://{stage.prefix}"}
    data = stage.sagemaker.create_artifact(ArtifactType="DataSet", Source=source)["ArtifactArn"]
    context = stage.sagemaker.create_context(ContextName=stage.name("c"), ContextType="Endpoint", Source=source)
    allowed = [
        {"Effect": "Allow", "Action": "sagemaker:AddAssociation", "Resource": data},
        {"Effect": "Allow", "Action": "sagemaker:QueryLineage", "Resource": "*"},
    ]
    user, iam = stage.name("associates"), stage.cloud.client("iam")
    iam.create_user(UserName=user)
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = stage.cloud.client("sagemaker", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:AddAssociation"):
        theirs.add_association(SourceArn=data, DestinationArn=context["ContextArn"])
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:CreateArtifact"):
        theirs.create_artifact(ArtifactType="DataSet", Source={"SourceUri": "s3://other"})
    assert theirs.query_lineage(StartArns=[data])["Vertices"] == [
        {"Arn": data, "Type": "DataSet", "LineageType": "Artifact"}
    ]


def test_a_caller_without_a_permission_is_refused_as_on_aws(stage):
    endpoint = stage.endpoint("e", {"a": 1})
    iam = stage.cloud.client("iam")
    user = stage.name("reader")
    iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": "sagemaker:DescribeEndpoint", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys = (key["AccessKeyId"], key["SecretAccessKey"])
    reader = stage.cloud.client("sagemaker", *keys)
    assert reader.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:DeleteEndpoint"):
        reader.delete_endpoint(EndpointName=endpoint)
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:InvokeEndpoint"):
        stage.cloud.client("sagemaker-runtime", *keys).invoke_endpoint(EndpointName=endpoint, Body=b"{}")


def test_a_model_needs_a_role_that_trusts_sagemaker_and_an_image_that_is_in_the_registry(stage):
    name, ecr = stage.name("checked"), stage.cloud.client("ecr")
    uri = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{name}:1"
    asked = {"ModelName": name, "PrimaryContainer": {"Image": uri}}
    distrusting = stage.role(service="lambda")
    with pytest.raises(ClientError, match=r"ValidationException.*The execution role ARN .* is invalid"):
        stage.sagemaker.create_model(**asked, ExecutionRoleArn=distrusting)
    with pytest.raises(ClientError, match=f"ValidationException.*Requested image {uri} not found"):
        stage.sagemaker.create_model(**asked, ExecutionRoleArn=ROLE)
    ecr.create_repository(repositoryName=name)
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
    ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1")
    assert stage.sagemaker.create_model(**asked, ExecutionRoleArn=ROLE)["ModelArn"].endswith(name)
