"""What is asked of training jobs, and refused in the words of AWS."""

from __future__ import annotations

from typing import Any

import pytest

from .asked import ROLE, job_of
from .conftest import failure, run

pytestmark = pytest.mark.e2e


def algorithm(**more: Any) -> dict[str, Any]:
    return {"AlgorithmSpecification": {**job_of("j")["AlgorithmSpecification"], **more}}


def without(member: str, inside: str) -> dict[str, Any]:
    request = job_of("j")
    return {member: {name: value for name, value in request[member].items() if name != inside}}


def channel(**more: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train", **more.pop("source", {})}
    return {"InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}, **more}]}


def output(**more: Any) -> dict[str, Any]:
    return {"OutputDataConfig": {"S3OutputPath": "s3://jobs/out", **more}}


def metric(pattern: str) -> dict[str, Any]:
    return algorithm(MetricDefinitions=[{"Name": "loss", "Regex": pattern}])


async def refusal(inside: Any, **changes: Any) -> Any:
    request = {name: value for name, value in {**job_of("j"), **changes}.items() if value is not None}
    refused = await failure(inside.call("CreateTrainingJob", **request))
    assert not (await inside.call("ListTrainingJobs"))["TrainingJobSummaries"]
    return refused


def test_a_name_is_taken_for_ever(inside):
    async def scenario() -> None:
        async with inside.running():
            await inside.job("j")
            await inside.over("j")
            taken = await failure(inside.job("j"))
        arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/j"
        assert taken.code == "ResourceInUse"
        assert taken.message.startswith("Training job names must be unique within an AWS account and region, and a")
        assert taken.message.endswith(f"training job with this name already exists ({arn})")

    run(scenario())


def test_a_job_that_is_not_there_is_not_found(inside):
    async def scenario() -> None:
        async with inside.running():
            for operation in ("DescribeTrainingJob", "StopTrainingJob"):
                none = await failure(inside.call(operation, TrainingJobName="none"))
                assert (none.code, none.message) == ("ValidationException", "Requested resource not found.")

    run(scenario())


def test_a_job_that_is_over_or_stopping_cannot_be_stopped(inside):
    hold = inside.hold()
    uploading = inside.bus.stop_at("Uploading")

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", until=hold.until)
            await hold.reached()
            await inside.call("StopTrainingJob", TrainingJobName="j")
            async with uploading:
                stopping = await failure(inside.call("StopTrainingJob", TrainingJobName="j"))
            await inside.over("j")
            stopped = await failure(inside.call("StopTrainingJob", TrainingJobName="j"))
        assert stopping.message == "The request was rejected because the training job is in status Stopping."
        assert stopped.message == "The request was rejected because the training job is in status Stopped."

    run(scenario())


def test_a_role_must_let_sagemaker_assume_it(inside):
    role = "arn:aws:iam::000000000000:role/none"

    async def scenario() -> None:
        async with inside.running():
            refused = await refusal(inside, RoleArn=role)
        assert refused.code == "ValidationException"
        assert refused.message.startswith(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )

    run(scenario())


def test_an_image_must_be_there(inside):
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unknown:1"

    async def scenario() -> None:
        async with inside.running():
            refused = await refusal(inside, **algorithm(TrainingImage=image))
        assert (refused.code, refused.message) == ("ValidationException", f"Cannot find the requested image: {image}")

    run(scenario())


def test_a_channel_must_have_objects(inside):
    async def scenario() -> None:
        async with inside.running():
            refused = await refusal(inside, **channel())
        assert refused.message == (
            'No S3 objects found under S3 URL "s3://data/train" given in input data source. Please ensure that the '
            "bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and that the "
            f'role "{ROLE}" has "s3:ListBucket" permissions on bucket "data".'
        )

    run(scenario())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"AlgorithmSpecification": None}, "AlgorithmSpecification.TrainingImage is missing"),
        (without("ResourceConfig", "InstanceType"), "ResourceConfig.InstanceType is missing"),
        (without("ResourceConfig", "InstanceCount"), "ResourceConfig.InstanceCount is missing"),
        (algorithm(TrainingInputMode="Pipe"), "TrainingInputMode = Pipe (supported: File)"),
        (algorithm(AlgorithmName="a"), "AlgorithmSpecification.AlgorithmName (supported: "),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}, "InstanceCount = 2 (supported: 1)"),
        (channel(CompressionType="Gzip"), "InputDataConfig.1.CompressionType = Gzip (supported: None)"),
        (channel(source={"S3DataType": "ManifestFile"}), "S3DataType = ManifestFile (supported: S3Prefix)"),
        (channel(ShuffleConfig={"Seed": 1}), "InputDataConfig.1.ShuffleConfig (supported: "),
        ({"EnableManagedSpotTraining": True}, "EnableManagedSpotTraining = True (supported: False)"),
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation = True (supported: False)"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 1}}, "RetryStrategy (supported: "),
        (output(CompressionType="NONE"), "OutputDataConfig.CompressionType = NONE (supported: GZIP)"),
        (output(S3OutputPath="https://jobs/out"), "OutputDataConfig.S3OutputPath is https://jobs/out"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2419201}}, "2419200 (28 days) is the most"),
        ({"CheckpointConfig": {"S3Uri": "s3://a/b"}}, "CheckpointConfig (supported: "),
        (metric("("), "The Regex of metric definition loss is no regular expression"),
        (metric("loss=.*"), "The Regex of metric definition loss has no group"),
        ({"InputDataConfig": channel()["InputDataConfig"] * 2}, "Channel names must be unique; they are train, train."),
        ({"TrainingJobName": "a_b"}, "Value 'a_b' at 'trainingJobName' failed to satisfy constraint"),
        ({"HyperParameters": {"a": "x" * 2501}}, "Member must have length less than or equal to 2500"),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_name(inside, changes, why):
    async def scenario() -> None:
        async with inside.running():
            refused = await refusal(inside, **changes)
        assert refused.code == "ValidationException"
        assert why in refused.message

    run(scenario())


def test_so_many_jobs_run_at_once_and_no_more(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            for number in range(8):
                await inside.job(f"j{number}", until=hold.until)
            crowd = await failure(inside.job("j8"))
            hold.release()
            for number in range(8):
                assert (await inside.over(f"j{number}"))["TrainingJobStatus"] == "Completed"
            await inside.job("j8")
            await inside.over("j8")
        assert crowd.code == "ResourceLimitExceeded"
        assert "'ml.m5.large for training job usage' is 8 Instances" in crowd.message

    run(scenario())


def test_jobs_are_listed_by_filter_order_and_page(inside):
    async def scenario() -> None:
        async with inside.running():
            for name, code in (("b-1", "0"), ("a-2", "1"), ("b-3", "0")):
                await inside.job(name, exit=code)
                await inside.over(name)

            async def names(**request: Any) -> list[str]:
                answer = await inside.call("ListTrainingJobs", **request)
                return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]

            assert await names() == ["b-3", "a-2", "b-1"]
            assert await names(SortOrder="Ascending") == ["b-1", "a-2", "b-3"]
            assert await names(SortBy="Name", SortOrder="Ascending") == ["a-2", "b-1", "b-3"]
            assert await names(SortBy="Status", SortOrder="Descending") == ["a-2", "b-3", "b-1"]
            assert await names(NameContains="b-") == ["b-3", "b-1"]
            assert await names(StatusEquals="Completed") == ["b-3", "b-1"]
            assert await names(WarmPoolStatusEquals="InUse") == []
            middle = await inside.call("DescribeTrainingJob", TrainingJobName="a-2")
            assert await names(CreationTimeAfter=middle["CreationTime"]) == ["b-3"]
            assert await names(LastModifiedTimeBefore=middle["LastModifiedTime"]) == ["b-1"]

            page = await inside.call("ListTrainingJobs", MaxResults=2)
            rest = await inside.call("ListTrainingJobs", MaxResults=2, NextToken=page["NextToken"])
            assert [job["TrainingJobName"] for job in rest["TrainingJobSummaries"]] == ["b-1"]
            assert "NextToken" not in rest

    run(scenario())


def test_a_page_is_filled_before_statuses_are_looked_at(inside):
    async def scenario() -> None:
        async with inside.running():
            for name, code in (("done", "0"), ("failed", "1")):
                await inside.job(name, exit=code)
                await inside.over(name)
            first = await inside.call("ListTrainingJobs", MaxResults=1, StatusEquals="Completed")
            token = first["NextToken"]
            second = await inside.call("ListTrainingJobs", MaxResults=1, StatusEquals="Completed", NextToken=token)
        assert first["TrainingJobSummaries"] == []
        assert [job["TrainingJobName"] for job in second["TrainingJobSummaries"]] == ["done"]

    run(scenario())


def test_a_job_bears_tags(inside):
    async def scenario() -> None:
        async with inside.running():
            tags = [{"Key": "team", "Value": "orders"}]
            created = await inside.call("CreateTrainingJob", **job_of("j"), Tags=tags)
            listed = await inside.call("ListTags", ResourceArn=created["TrainingJobArn"])
            described = await inside.over("j")
        assert listed["Tags"] == tags
        assert "Tags" not in described

    run(scenario())


def test_a_job_is_described_with_what_aws_takes_when_nothing_is_said(inside):
    async def scenario() -> None:
        async with inside.running():
            request = {name: value for name, value in job_of("j").items() if name != "StoppingCondition"}
            await inside.call("CreateTrainingJob", **request)
            job = await inside.over("j")
        assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
        assert job["EnableManagedSpotTraining"] is False
        assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
        assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] == job["LastModifiedTime"]

    run(scenario())
