"""A training job of the local SageMaker retrains a champion, with the rights of the stack's training role alone."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from uuid import uuid4

import pytest

from infra.aws import training_policies
from infra.aws.statements import document, trust
from pipeline.build import SealedPackage
from platforms.aws import signatures
from platforms.aws.clients import Clients
from platforms.aws.kms_signer import KmsSigner
from platforms.aws.names import Names
from platforms.aws.registry import publish
from platforms.aws.training import hyperparameters, report_key
from retraining.decision import Start
from retraining.rules import JobSettings
from rollout.core.release import Release, release_id

pytestmark = pytest.mark.e2e


@pytest.fixture
def names(cloud) -> Names:
    """The names of a stack of the test's own, with its bucket and its package group."""
    found = Names("daily", f"local-{uuid4().hex[:8]}", "000000000000", "us-east-1", "aws")
    cloud.client("s3").create_bucket(Bucket=found.bucket)
    cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=found.package_group)
    return found


def signing_key(cloud) -> str:
    made = cloud.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return made["KeyMetadata"]["Arn"]


def role(cloud, names: Names, signing: str) -> str:
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    iam = cloud.client("iam")
    made = iam.create_role(RoleName=names.training_role, AssumeRolePolicyDocument=trust("sagemaker"))
    allowed = document(*training_policies.training(names, key, signing, names.process_image))
    iam.put_role_policy(RoleName=names.training_role, PolicyName="training", PolicyDocument=allowed)
    return made["Role"]["Arn"]


def released(sealed: SealedPackage, names: Names, clients: Clients, signing: str) -> Release:
    image = names.process_image
    place = {"bucket": names.bucket, "group": names.package_group, "image": image, "clients": clients}
    package = publish(sealed, **place, signer=KmsSigner(clients, signing))
    name = release_id(sealed.recipe, image)
    return Release(
        id=name,
        recipe=sealed.recipe,
        package_digest=sealed.digest,
        archive_uri=package.archive_uri,
        image_uri=image,
        manifest_sha256=sealed.manifest_sha256,
        model_package_arn=package.model_package_arn,
        **{"model_name": f"daily-{name}", "variant": f"v-{name}", "config_name": f"daily-{name}-one"},
        instances="1 x ml.m5.large",
    )


def test_a_job_with_the_training_roles_rights_registers_a_better_challenger(cloud, names: Names, champion):
    clients = cache(cloud.client)
    signing = signing_key(cloud)
    release = released(champion, names, clients, signing)
    settings = JobSettings(
        role=role(cloud, names, signing),
        image=names.process_image,
        instance_type="ml.m5.large",
        max_seconds=600,
        min_gain=0.0,
        bucket=names.bucket,
        group=names.package_group,
        region="us-east-1",
        signing_key=signing,
    )
    start = Start(f"{names.prefix}-20130220-1", release, "2013-02-20")
    source = {"S3DataType": "S3Prefix", "S3Uri": release.archive_uri, "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": "champion", "ContentType": "application/gzip", "DataSource": {"S3DataSource": source}}
    clients("sagemaker").create_training_job(
        TrainingJobName=start.job,
        AlgorithmSpecification={"TrainingImage": settings.image, "TrainingInputMode": "File"},
        RoleArn=settings.role,
        InputDataConfig=[channel],
        HyperParameters=hyperparameters(start, settings),
        OutputDataConfig={"S3OutputPath": f"s3://{names.bucket}/retraining/"},
        ResourceConfig={"InstanceType": settings.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": settings.max_seconds},
    )
    clients("sagemaker").get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=start.job, WaiterConfig={"Delay": 1, "MaxAttempts": 600}
    )
    described: dict[str, Any] = clients("sagemaker").describe_training_job(TrainingJobName=start.job)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    body = clients("s3").get_object(Bucket=names.bucket, Key=report_key(start.job))["Body"].read()
    report = json.loads(body)
    assert report["outcome"] == "better", report["why"]
    listed = clients("sagemaker").list_model_packages(ModelPackageGroupName=names.package_group)
    registered = {one["ModelPackageArn"] for one in listed["ModelPackageSummaryList"]}
    assert registered == {release.model_package_arn, report["package"]["model_package_arn"]}
    made, key = report["package"], KmsSigner(clients, signing).public_key
    facts = signatures.read(made["archive_uri"], key, clients("s3")).verify(made["package_digest"], key)
    assert facts.builder.invocation == described["TrainingJobArn"]
    assert facts.source.commit is None, "the champion's code comes from its package, not from a checkout"
