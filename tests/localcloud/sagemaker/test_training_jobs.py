"""Training jobs from request to model, without a network in front of them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from tests.localcloud.sagemaker.conftest import failure, job_of, ours, run

pytestmark = pytest.mark.e2e


def archived(inside: Any, key: str) -> dict[str, bytes]:
    """The files of an archive that a job left in its bucket."""
    with tarfile.open(fileobj=io.BytesIO(inside.aws.objects["jobs", key])) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: content.read() for name, content in found.items() if content}


def seen(inside: Any, job: str) -> Any:
    """What the job's program saw."""
    return json.loads(archived(inside, f"out/{job}/output/model.tar.gz")["seen.json"])


def statuses(job: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


def test_a_job_reads_its_channels_and_leaves_its_model(inside):
    inside.aws.objects |= {
        ("data", "train/a.csv"): b"1",
        ("data", "train/deep/b.csv"): b"2",
        ("data", "train/c.csv"): b"3",
        ("data", "one/model.tar.gz"): b"4",
    }

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", ("train", "one/model.tar.gz"[:3]), files=json.dumps({"output/data/report": "x"}))
            job = await inside.over("j")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
        assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
        assert job["ModelArtifacts"] == {"S3ModelArtifacts": "s3://jobs/out/j/output/model.tar.gz"}
        assert seen(inside, "j")["data"] == {
            "train/a.csv": "1",
            "train/c.csv": "3",
            "train/deep/b.csv": "2",
            "one/model.tar.gz": "4",
        }
        assert archived(inside, "out/j/output/output.tar.gz") == {"report": b"x"}

    run(scenario())


def test_a_program_is_told_what_it_is_part_of(inside):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j", depth="3")
            await inside.call("CreateTrainingJob", **request, Environment={"A": "B", "TRAINING_JOB_NAME": "other"})
            await inside.over("j")
        saw = seen(inside, "j")
        arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/j"
        assert saw["config"]["hyperparameters"] == {"depth": "3"}
        assert saw["config"]["resourceconfig"]["hosts"] == ["algo-1"]
        environment = saw["environment"]
        assert (environment["A"], environment["TRAINING_JOB_NAME"], environment["TRAINING_JOB_ARN"]) == ("B", "j", arn)
        assert environment["AWS_ACCESS_KEY_ID"] == f"key of sagemaker.amazonaws.com for {arn} for 4200 s"

    run(scenario())


def test_a_job_that_fails_says_why(inside):
    async def scenario() -> None:
        async with inside.running():
            await inside.job("told", files=json.dumps({"output/failure": "no rows"}), exit="1")
            await inside.job("quiet", lines=json.dumps(["first", "last"]), exit="3")
            told, quiet = await inside.over("told"), await inside.over("quiet")
        assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Failed", "Failed")
        assert told["FailureReason"] == "AlgorithmError: no rows, exit code: 1"
        assert quiet["FailureReason"].startswith("AlgorithmError: the algorithm exited with code 3.")
        assert quiet["FailureReason"].endswith("first\nlast")
        assert ("jobs", "out/told/output/model.tar.gz") not in inside.aws.objects

    run(scenario())


def test_a_job_that_is_stopped_leaves_what_it_has(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", until=hold.until, fork="1", on_term=json.dumps({"model/rescued": "x"}))
            await hold.reached()
            await inside.call("StopTrainingJob", TrainingJobName="j")
            job = await inside.over("j")
            assert ours(inside) == []
            refused = await failure(inside.call("StopTrainingJob", TrainingJobName="j"))
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
        assert statuses(job) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
        assert archived(inside, "out/j/output/model.tar.gz")["rescued"] == b"x"
        assert refused.message == "The request was rejected because the training job is in status Stopped."

    run(scenario())


def test_a_job_that_a_server_left_is_failed_at_the_next_start(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", until=hold.until)
            await hold.reached()
        assert ours(inside) == []
        async with inside.running():
            job = await inside.over("j")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("InternalServerError: ")

    run(scenario())


def test_each_status_is_told_to_the_event_bus(inside):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            await inside.call("CreateTrainingJob", **request, Tags=[{"Key": "team", "Value": "flights"}])
            job = await inside.over("j")
        told = inside.bus.of_job("j")
        assert [event["SecondaryStatus"] for event in told] == statuses(job)
        assert told[-1]["TrainingJobStatus"] == "Completed"
        assert told[-1]["Tags"] == {"team": "flights"}
        assert told[-1]["TrainingEndTime"] == round(job["TrainingEndTime"] * 1000)

    run(scenario())


def test_requests_are_refused_in_the_words_of_aws(inside):
    async def scenario() -> None:
        async with inside.running():
            none = await failure(inside.call("DescribeTrainingJob", TrainingJobName="none"))
            assert (none.code, none.message) == ("ValidationException", "Requested resource not found.")
            await inside.job("j")
            taken = await failure(inside.job("j"))
            assert taken.code == "ResourceInUse"
            assert "a training job with this name already exists (arn:aws:sagemaker:" in taken.message
            role = "arn:aws:iam::000000000000:role/none"
            stranger = await failure(inside.call("CreateTrainingJob", **{**job_of("k"), "RoleArn": role}))
            assert stranger.message.startswith(f"Could not assume role {role}. Please ensure that the role exists")
            empty = await failure(inside.job("k", ("train",)))
            assert empty.message.startswith('No S3 objects found under S3 URL "s3://data/train" given in input data')
            spot = await failure(inside.call("CreateTrainingJob", **job_of("k"), EnableManagedSpotTraining=True))
            assert "EnableManagedSpotTraining = True (supported: False)" in spot.message
            await inside.over("j")

    run(scenario())
