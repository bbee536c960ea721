"""Training jobs of a real local cloud, as independent clients see them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.processes import SERVER_MARK, marked

from .asked import job_of
from .clients import aws, eventually, messages, run_sdk
from .conftest import Hold

pytestmark = pytest.mark.e2e


def role_of(stage: Any) -> str:
    """A role whose jobs may use the stage's bucket."""
    objects = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"]}
    bucket = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{stage.bucket}"}
    return stage.role({**objects, "Resource": f"arn:aws:s3:::{stage.bucket}/*"}, bucket)


@pytest.fixture
def allowed(stage: Any) -> str:
    return role_of(stage)


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
        TrainingJobName=stage.name("j"), WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
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
    logs = stage.cloud.client("logs")
    output = eventually(lambda: messages(logs, "/aws/sagemaker/TrainingJobs", f"{stage.name('j')}/algo-1-"))
    assert output == ["loss=0.5", "loss=0.25"]
    (series,) = stage.cloud.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs",
        Dimensions=[{"Name": "TrainingJobName", "Value": stage.name("j")}],
    )["Metrics"]
    assert series["MetricName"] == "loss"


def test_a_job_may_do_what_its_role_may_and_no_more(stage, allowed):
    stage.s3.create_bucket(Bucket=stage.name("other"))
    put = json.dumps([stage.name("other"), "report.json", "{}"])
    stage.sagemaker.create_training_job(**request(stage, allowed, "j", put=put))
    described = stage.over(stage.name("j"))
    assert described["TrainingJobStatus"] == "Failed"
    session = f"arn:aws:sts::000000000000:assumed-role/{stage.name('role')}/SageMaker"
    assert f"{session} is not authorized to perform: s3:PutObject" in described["FailureReason"]


def test_a_role_that_does_not_trust_sagemaker_cannot_be_used(stage):
    role = stage.role(service="lambda")
    with pytest.raises(ClientError, match=f"Could not assume role {role}"):
        stage.sagemaker.create_training_job(**request(stage, role, "j"))


def test_a_role_is_known_by_its_whole_arn(stage, allowed):
    elsewhere = allowed.replace(":role/", ":role/elsewhere/")
    with pytest.raises(ClientError, match=f"Could not assume role {elsewhere}.*There is no role"):
        stage.sagemaker.create_training_job(**request(stage, elsewhere, "j"))


def test_a_trust_policy_may_ask_on_whose_behalf(stage):
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{stage.name('j')}"
    role = stage.role(when={"StringEquals": {"aws:SourceArn": arn, "aws:SourceAccount": "000000000000"}})
    with pytest.raises(ClientError, match="Could not assume role"):
        stage.sagemaker.create_training_job(**request(stage, role, "other"))
    with pytest.raises(ClientError, match="No S3 objects found"):  # it may be assumed, but not list the bucket
        stage.sagemaker.create_training_job(**request(stage, role, "j"))


def test_each_status_comes_to_a_queue_by_a_rule(stage, allowed):
    queue = stage.cloud.client("sqs").create_queue(QueueName=stage.name("q"))["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{stage.name('q')}"
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]})
    stage.cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events = stage.cloud.client("events")
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Training Job State Change"],
        "detail": {"TrainingJobName": [{"prefix": stage.prefix}], "TrainingJobStatus": ["Completed", "Failed"]},
    }
    events.put_rule(Name=stage.name("r"), EventPattern=json.dumps(pattern))
    events.put_targets(Rule=stage.name("r"), Targets=[{"Id": "q", "Arn": arn}])
    stage.sagemaker.create_training_job(**request(stage, allowed, "j", exit="1"))
    sqs = stage.cloud.client("sqs")
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    event = json.loads(message["Body"])
    described = stage.over(stage.name("j"))
    assert event["resources"] == [described["TrainingJobArn"]]
    assert event["detail"]["FailureReason"] == described["FailureReason"]
    assert event["detail"]["TrainingEndTime"] == round(described["TrainingEndTime"].timestamp() * 1000)


def test_the_aws_cli_starts_reads_and_stops_a_job(stage, allowed, tmp_path):
    hold = Hold(tmp_path / "holds")

    wanted = tmp_path / "job.json"
    wanted.write_text(json.dumps(request(stage, allowed, "j", until=hold.until)))
    created = aws(stage, "sagemaker", "create-training-job", "--cli-input-json", f"file://{wanted}")
    name = ("--training-job-name", stage.name("j"))
    assert aws(stage, "sagemaker", "describe-training-job", *name)["TrainingJobArn"] == created["TrainingJobArn"]
    listed = aws(
        stage, "sagemaker", "list-training-jobs", "--status-equals", "InProgress", "--name-contains", stage.prefix
    )
    assert [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]] == [stage.name("j")]
    aws(stage, "sagemaker", "stop-training-job", *name)
    assert stage.over(stage.name("j"))["SecondaryStatus"] == "Stopped"
    aws(stage, "sagemaker", "wait", "training-job-completed-or-stopped", *name)


def test_the_sagemaker_sdk_trains_and_shows_the_log(stage, allowed):
    wanted = request(stage, allowed, "sdk", lines=json.dumps(["loss=0.5"]))
    bucket = f"s3://{stage.bucket}/{stage.prefix}"
    program = f"""
        from sagemaker.core.resources import TrainingJob
        from sagemaker.core.shapes import (
            AlgorithmSpecification, Channel, DataSource, OutputDataConfig, ResourceConfig, S3DataSource,
            StoppingCondition,
        )

        source = S3DataSource(s3_data_type="S3Prefix", s3_uri={f"{bucket}/train"!r})
        job = TrainingJob.create(
            training_job_name={wanted["TrainingJobName"]!r},
            algorithm_specification=AlgorithmSpecification(
                training_image={wanted["AlgorithmSpecification"]["TrainingImage"]!r}, training_input_mode="File",
            ),
            role_arn={allowed!r},
            input_data_config=[Channel(channel_name="train", data_source=DataSource(s3_data_source=source))],
            output_data_config=OutputDataConfig(s3_output_path={bucket!r}),
            resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
            hyper_parameters={wanted["HyperParameters"]!r},
            tags=[{{"key": "by", "value": "sdk"}}],  # create() takes another class of tags than it exports
        )
        job.wait(poll=1, logs=True)
        job.refresh()
        assert job.training_job_status == "Completed", job
        assert job.model_artifacts.s3_model_artifacts.endswith("/output/model.tar.gz")
        (listed,) = TrainingJob.get_all(name_contains={stage.prefix!r})
        assert listed.training_job_name == job.training_job_name
        print("done")
    """
    run_sdk(stage, program)


def left(stage: Any) -> list[int]:
    return marked(SERVER_MARK, str(stage.cloud.state.resolve()))


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_job_ends_with_its_server_and_is_failed_when_the_server_is_back(own_stage, tmp_path, end):
    stage, hold = own_stage, Hold(tmp_path / "holds")
    stage.sagemaker.create_training_job(**request(stage, role_of(stage), "j", until=hold.until, fork="1"))
    eventually(lambda: Path(hold.until).with_suffix(".waits").exists())
    assert len(left(stage)) == 2
    getattr(stage.cloud, end)()
    stage.cloud.start()
    assert left(stage) == []
    described = stage.sagemaker.describe_training_job(TrainingJobName=stage.name("j"))
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Failed"
    assert described["FailureReason"].startswith("InternalServerError: ")
    assert described["SecondaryStatusTransitions"][-2]["Status"] == "Training"
    (listed,) = stage.sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert listed["TrainingJobStatus"] == "Failed"
