"""Training jobs of a real local cloud, as independent clients see them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.sagemaker.conftest import job_of

pytestmark = pytest.mark.e2e


@pytest.fixture
def allowed(stage: Any) -> Any:
    """A role whose jobs may use the stage's bucket."""
    objects = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"]}
    bucket = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{stage.bucket}"}
    return stage.role({**objects, "Resource": f"arn:aws:s3:::{stage.bucket}/*"}, bucket)


def request(stage: Any, role: str, name: str, **hyperparameters: str) -> dict[str, Any]:
    """A job with one channel, in the stage's bucket."""
    key = f"{stage.prefix}/train/a.csv"
    stage.s3.put_object(Bucket=stage.bucket, Key=key, Body=b"1,2")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{stage.bucket}/{stage.prefix}/train"}
    return {
        **job_of(stage.name(name), **hyperparameters),
        "RoleArn": role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{stage.bucket}/{stage.prefix}"},
    }


def body(stage: Any, key: str) -> bytes:
    return stage.s3.get_object(Bucket=stage.bucket, Key=key)["Body"].read()


def test_boto3_takes_a_job_through_its_life(stage, allowed):
    put = json.dumps([stage.bucket, f"{stage.prefix}/report.json", "{}"])
    job = request(stage, allowed, "j", put=put, lines=json.dumps(["loss=0.5", "loss=0.25"]))
    job["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    stage.sagemaker.create_training_job(**job)
    stage.sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=stage.name("j"), WaiterConfig={"Delay": 1}
    )
    described = stage.over(stage.name("j"))
    assert described["TrainingJobStatus"] == "Completed"
    assert described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert described["BillableTimeInSeconds"] >= 1
    assert [(metric["MetricName"], metric["Value"]) for metric in described["FinalMetricDataList"]] == [("loss", 0.25)]
    assert body(stage, f"{stage.prefix}/report.json") == b"{}"
    bucket, _, key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    assert bucket == stage.bucket
    with tarfile.open(fileobj=io.BytesIO(body(stage, key))) as archive:
        assert archive.getnames() == ["seen.json"]
    (listed,) = stage.sagemaker.list_training_jobs(NameContains=stage.prefix)["TrainingJobSummaries"]
    assert (listed["TrainingJobName"], listed["TrainingJobStatus"]) == (stage.name("j"), "Completed")


def test_a_job_may_do_what_its_role_may_and_no_more(stage, allowed):
    stage.s3.create_bucket(Bucket=stage.name("other"))
    put = json.dumps([stage.name("other"), "report.json", "{}"])
    stage.sagemaker.create_training_job(**request(stage, allowed, "j", put=put))
    described = stage.over(stage.name("j"))
    assert described["TrainingJobStatus"] == "Failed"
    session = f"arn:aws:sts::000000000000:assumed-role/{stage.name('role')}/SageMaker"
    assert f"{session} is not authorized to perform: s3:PutObject" in described["FailureReason"]


def test_a_role_that_does_not_trust_sagemaker_cannot_be_used(stage):
    role = stage.role(trusts="lambda.amazonaws.com")
    with pytest.raises(ClientError, match=f"Could not assume role {role}"):
        stage.sagemaker.create_training_job(**request(stage, role, "j"))
