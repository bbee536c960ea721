"""Two accounts of one cloud: endpoints, invocations, jobs and their metrics know nothing of the other's."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .asked import ACCOUNT, IMAGE, ROLE, job_of, make_archive
from .clients import eventually
from .stage import Stage, set_up

pytestmark = pytest.mark.e2e

OTHER = "222222222222"
BUCKET = "stage-models-of-another"


@pytest.fixture(scope="module")
def other(cloud):
    set_up(cloud, BUCKET, OTHER)
    return Stage(cloud, BUCKET, OTHER)


def invocations(stage: Stage, endpoint: str) -> float:
    """How many the metrics of an account know."""
    points = stage.cloud.client("cloudwatch", account=stage.account).get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "v"}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def accounts_of_logs(stage: Stage) -> list[str]:
    """Whose the log groups are that an account sees."""
    groups = stage.cloud.client("logs", account=stage.account).describe_log_groups()["logGroups"]
    return [group["arn"].split(":")[4] for group in groups]


def test_endpoints_of_one_name_in_two_accounts_are_two_endpoints_also_after_a_kill(own_stage):
    set_up(own_stage.cloud, BUCKET, OTHER)
    stages = (own_stage, Stage(own_stage.cloud, BUCKET, OTHER))
    endpoint = "same"
    for stage in stages:
        stage.prefix = f"of-{stage.account}"
        config = stage.config("config", {"v": 1})
        stage.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    for stage in stages:
        described = stage.settled(endpoint)
        assert described["EndpointStatus"] == "InService"
        assert described["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:{stage.account}:endpoint/same"
    own_stage.cloud.kill()
    own_stage.cloud.start()
    for number, stage in enumerate(stages, 1):
        stage.settled(endpoint)
        for _ in range(number):
            stage.invoke(endpoint)
    assert eventually(lambda: [invocations(stage, endpoint) for stage in stages] == [1, 2])
    # What containers say is put into Logs every so often.
    assert eventually(lambda: [accounts_of_logs(stage) for stage in stages] == [[ACCOUNT], [OTHER]])
    own_stage.faults({"endpoint": endpoint, "variant": "*", "effect": "error", "account": OTHER})
    own_stage.invoke(endpoint)
    with pytest.raises(ClientError, match=f"in account {OTHER} for more information"):
        stages[1].invoke(endpoint)
    own_stage.faults(None)
    own_stage.sagemaker.delete_endpoint(EndpointName=endpoint)
    stages[1].invoke(endpoint)
    with pytest.raises(ClientError, match=f"Endpoint {endpoint} of account {ACCOUNT} not found"):
        own_stage.invoke(endpoint)


def job_in(stage: Stage, name: str, role: str, bucket: str) -> dict[str, Any]:
    """How a job ends that puts a report into a bucket as its role."""
    key = f"{stage.prefix}/report.json"
    job = job_of(stage.name(name), put=json.dumps([bucket, key, "{}"]))
    job["RoleArn"] = role
    job["AlgorithmSpecification"]["TrainingImage"] = IMAGE.replace(ACCOUNT, stage.account)
    job["OutputDataConfig"]["S3OutputPath"] = f"s3://{stage.bucket}/{stage.prefix}"
    stage.sagemaker.create_training_job(**job)
    return stage.over(job["TrainingJobName"])


def test_a_training_job_has_the_credentials_of_a_role_of_its_account(stage, other):
    anything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    role = other.role(anything)
    done = job_in(other, "writes", role, other.bucket)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert done["TrainingJobArn"].split(":")[4] == OTHER
    assert other.s3.head_object(Bucket=other.bucket, Key=f"{other.prefix}/report.json")
    failed = job_in(other, "writes-elsewhere", role, stage.bucket)
    assert failed["TrainingJobStatus"] == "Failed", "the bucket's policy does not let it"
    with pytest.raises(ClientError, match="iam:PassRole on resource"):
        job_in(stage, "as-another", role, stage.bucket)


def test_a_model_takes_its_archive_from_another_account_if_the_bucket_is_open_to_it(stage, other):
    key = f"{stage.prefix}/model.tar.gz"
    stage.s3.put_object(Bucket=stage.bucket, Key=key, Body=make_archive("m"))
    model = {
        "ModelName": other.name("from-another"),
        "ExecutionRoleArn": ROLE.replace(ACCOUNT, OTHER),
        "PrimaryContainer": {
            "Image": IMAGE.replace(ACCOUNT, OTHER),
            "ModelDataUrl": f"s3://{stage.bucket}/{key}",
        },
    }
    with pytest.raises(ClientError, match="Could not access model data"):
        other.sagemaker.create_model(**model)
    reads = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{stage.bucket}", f"arn:aws:s3:::{stage.bucket}/{stage.prefix}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reads]})
    stage.s3.put_bucket_policy(Bucket=stage.bucket, Policy=policy)
    try:
        made = other.sagemaker.create_model(**model)
    finally:
        stage.s3.delete_bucket_policy(Bucket=stage.bucket)
    assert made["ModelArn"].split(":")[4] == OTHER


def test_an_image_of_another_account_is_there_if_its_repository_is_open_to_it(stage, other):
    name = stage.name("images")
    ecr = stage.cloud.client("ecr")
    ecr.create_repository(repositoryName=name)
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="v1")
    model = {
        "ModelName": other.name("image"),
        "ExecutionRoleArn": ROLE.replace(ACCOUNT, OTHER),
        "PrimaryContainer": {"Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{name}:v1"},
    }
    with pytest.raises(ClientError, match=r"Requested image .* not found"):
        other.sagemaker.create_model(**model)
    pulls = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": ["ecr:DescribeImages", "ecr:BatchGetImage"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [pulls]})
    ecr.set_repository_policy(repositoryName=name, policyText=policy)
    assert other.sagemaker.create_model(**model)["ModelArn"].split(":")[4] == OTHER
