"""Training jobs from request to model, without a network in front of them."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from localcloud.server.platform import ImageCommand
from localcloud.testing import MODEL_SERVER

from .asked import IMAGE, job_of
from .conftest import failure, ours, run

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


def test_a_job_of_a_cloud_whose_interpreter_was_removed_fails_with_the_cause(inside, monkeypatch, caplog):
    async def scenario() -> None:
        async with inside.running():
            monkeypatch.setattr(sys, "executable", "/removed/bin/python")
            await inside.job("j")
            job = await inside.over("j")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("InternalServerError: FileNotFoundError")
        assert "/removed/bin/python" in job["FailureReason"]
        assert "training job j failed" in caplog.text

    run(scenario())


def test_a_job_reads_its_channels_and_leaves_its_model(inside):
    inside.aws.objects |= {
        ("data", "train/a.csv"): b"1",
        ("data", "train/deep/b.csv"): b"2",
        ("data", "train/c.csv"): b"3",
        ("data", "one/model.tar.gz"): b"4",
    }

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", ("train", "one"), files=json.dumps({"output/data/report": "x"}))
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


def test_a_job_is_over_when_its_program_is_whatever_that_left_behind(inside):
    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", fork="1")
            assert (await inside.over("j"))["TrainingJobStatus"] == "Completed"
            assert ours(inside) == []

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
        assert inside.bus.of_job("j")[-1]["FailureReason"] == job["FailureReason"]

    run(scenario())


def test_each_status_is_told_to_the_event_bus(inside):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            await inside.call("CreateTrainingJob", **request, Tags=[{"Key": "team", "Value": "orders"}])
            job = await inside.over("j")
            while not (told := inside.bus.of_job("j")) or told[-1]["TrainingJobStatus"] == "InProgress":
                await asyncio.sleep(0.02)  # an event is told right after what it tells of
        assert [event["SecondaryStatus"] for event in told] == statuses(job)
        assert told[-1]["TrainingJobStatus"] == "Completed"
        assert told[-1]["Tags"] == {"team": "orders"}
        assert told[-1]["TrainingEndTime"] == round(job["TrainingEndTime"] * 1000)

    run(scenario())


def test_a_job_that_ignores_sigterm_is_killed(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.faster(1000).running():
            await inside.job("j", until=hold.until, deaf="1")
            await hold.reached()
            await inside.call("StopTrainingJob", TrainingJobName="j")
            job = await inside.over("j")
            assert ours(inside) == []
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
        assert seen(inside, "j")["wish"]["deaf"] == "1"

    run(scenario())


def test_a_job_that_has_had_its_time_is_stopped(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            limited = {**job_of("j", until=hold.until), "StoppingCondition": {"MaxRuntimeInSeconds": 1}}
            await inside.call("CreateTrainingJob", **limited)
            job = await inside.over("j")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
        assert statuses(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]
        assert "FailureReason" not in job
        assert ("jobs", "out/j/output/model.tar.gz") in inside.aws.objects

    run(scenario())


@pytest.mark.parametrize("stages", [["Starting"], ["Starting", "Downloading"], ["Starting", "Downloading", "Training"]])
def test_a_job_that_is_stopped_before_its_program_starts_never_starts_it(inside, stages):
    inside.aws.objects["data", "train/a"] = b"1"
    there = inside.bus.stop_at(stages[-1])

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", ("train",))
            async with there:
                await inside.call("StopTrainingJob", TrainingJobName="j")
                stopping = await inside.call("DescribeTrainingJob", TrainingJobName="j")
            job = await inside.over("j")
        assert (stopping["TrainingJobStatus"], stopping["SecondaryStatus"]) == ("Stopping", "Stopping")
        assert statuses(job) == [*stages, "Stopping", "Stopped"]
        assert ("jobs", "out/j/output/model.tar.gz") not in inside.aws.objects

    run(scenario())


def test_a_model_that_cannot_be_put_fails_the_job_even_when_it_was_stopped(inside):
    inside.aws.refused.add("PutObject")
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            await inside.job("done")
            await inside.job("stopped", until=hold.until)
            await hold.reached()
            await inside.call("StopTrainingJob", TrainingJobName="stopped")
            jobs = [await inside.over("done"), await inside.over("stopped")]
        assert [job["TrainingJobStatus"] for job in jobs] == ["Failed", "Failed"]
        url = "s3://jobs/out/done/output/model.tar.gz"
        assert jobs[0]["FailureReason"].startswith(f"ClientError: Artifact upload failed:{url}")

    run(scenario())


def test_the_last_value_of_each_metric_is_shown_while_the_job_runs_and_after(inside):
    hold = inside.hold()
    lines = json.dumps(["epoch 1: loss=0.5 auc=nan", "epoch 2: loss=0.25; auc=none"])

    async def scenario() -> None:
        async with inside.running():
            request = job_of("j", until=hold.until, lines=lines)
            found = {"loss": "loss=([0-9.]+)", "auc": "auc=(\\S+)"}
            definitions = [{"Name": name, "Regex": pattern} for name, pattern in found.items()]
            request["AlgorithmSpecification"]["MetricDefinitions"] = definitions
            await inside.call("CreateTrainingJob", **request)
            await hold.reached()
            while len(inside.metrics.values("loss", TrainingJobName="j")) < 2:
                await asyncio.sleep(0.01)
            running = await inside.call("DescribeTrainingJob", TrainingJobName="j")
            hold.release()
            job = await inside.over("j")
        (metric,) = running["FinalMetricDataList"]
        assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
        assert job["FinalMetricDataList"] == [metric]
        assert inside.metrics.values("loss", TrainingJobName="j") == [0.5, 0.25]

    run(scenario())


def test_the_output_is_in_the_log_stream_of_the_job_when_it_is_over(inside):
    async def scenario() -> None:
        async with inside.with_timing(logs=1000).running():
            await inside.job("j", lines=json.dumps(["hello"]))
            await inside.over("j")
            ((group, stream),) = inside.aws.lines
            assert group == "/aws/sagemaker/TrainingJobs"
            assert re.fullmatch(r"j/algo-1-\d{10}", stream)
            assert inside.aws.lines[group, stream] == ["hello"]

    run(scenario())


def test_a_job_yields_to_what_serves(inside):
    async def scenario() -> None:
        async with inside.running():
            await inside.job("j")
            await inside.over("j")
        assert seen(inside, "j")["nice"] == min(os.nice(0) + 5, 19)

    run(scenario())


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("other", "no process is configured for repository 'other'"),
        ("only-serving", "the entry of repository 'only-serving' in the configuration has no `train` command"),
    ],
)
@pytest.mark.usefixtures("no_engine")
def test_an_image_that_cannot_train_fails_the_job(inside, image, why):
    only = ImageCommand("only-serving", ("serve",), MODEL_SERVER.parent)
    inside.platform = replace(inside.platform, images=(only, *inside.platform.images))
    inside.aws.describe_images = lambda **_: {"imageDetails": [{"imageDigest": "sha256:ab"}]}

    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            request["AlgorithmSpecification"]["TrainingImage"] = IMAGE.replace("model-serving", image)
            await inside.call("CreateTrainingJob", **request)
            job = await inside.over("j")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("ClientError: Image ")
        assert why in job["FailureReason"]
        assert statuses(job) == ["Starting", "Failed"]

    run(scenario())
