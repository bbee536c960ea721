"""Processing jobs from request to output, without a network in front of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker.job_news import JobFacts

from .asked import IMAGE, ROLE, input_of, processing_of
from .conftest import failure, ours, run

pytestmark = pytest.mark.e2e

ARN = "arn:aws:sagemaker:us-east-1:000000000000:processing-job/p"


def seen(inside: Any, job: str = "p") -> Any:
    """What the job's program saw."""
    return json.loads(inside.aws.objects["jobs", f"{job}/seen/seen.json"])


def written(files: dict[str, str]) -> str:
    return json.dumps({f"processing/out/{path}": content for path, content in files.items()})


def test_a_job_reads_its_inputs_and_leaves_its_outputs(inside):
    inside.aws.objects |= {("data", "train/a.csv"): b"1", ("data", "train/deep/b.csv"): b"2", ("data", "one.txt"): b"3"}
    heard: list[JobFacts] = []

    async def scenario() -> None:
        async with inside.running():
            inside.service.jobs.hear(lambda job: heard_by(heard, job))
            request = processing_of("p", ("train",), files=written({"report.json": "{}", "deep/x": "y"}))
            request["ProcessingInputs"].append(input_of("one", "s3://data/one.txt"))
            request["AppSpecification"]["ContainerArguments"] = ["--in", "/opt/ml/processing/train", "s3://opt/ml/x"]
            request["Environment"]["REPORT"] = "/opt/ml/processing/out/report.json"
            assert (await inside.call("CreateProcessingJob", **request))["ProcessingJobArn"] == ARN
            job = await inside.processed("p")
            while len(heard) < 2:
                await asyncio.sleep(0.01)  # the end is told right after it is written down
        assert job["ProcessingJobStatus"] == "Completed"
        assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"] == job["LastModifiedTime"]
        saw = seen(inside)
        assert saw["data"] == {"train/a.csv": "1", "train/deep/b.csv": "2", "one/one.txt": "3"}
        assert inside.aws.objects["jobs", "p/out/report.json"] == b"{}"
        assert inside.aws.objects["jobs", "p/out/deep/x"] == b"y"
        folder = saw["environment"]["OPT_ML"]
        assert saw["arguments"] == ["--in", f"{folder}/processing/train", "s3://opt/ml/x"]
        assert saw["environment"]["REPORT"] == f"{folder}/processing/out/report.json"
        assert saw["environment"]["AWS_ACCESS_KEY_ID"] == f"key of sagemaker.amazonaws.com for {ARN} for 4200 s"
        assert saw["nice"] == min(os.nice(0) + 5, 19)
        config = saw["config"]["processingjobconfig"]
        assert config["ProcessingJobArn"] == ARN
        assert config["ProcessingInputs"] == job["ProcessingInputs"]
        assert config["ProcessingOutputConfig"] == job["ProcessingOutputConfig"]
        assert saw["config"]["resourceconfig"]["hosts"] == ["algo-1"]
        assert not Path(folder).exists()
        assert [(one.kind, one.arn, one.status, one.over) for one in heard] == [
            ("processing-job", ARN, "InProgress", False),
            ("processing-job", ARN, "Completed", True),
        ]
        assert heard[1].inputs == {"train": "s3://data/train", "one": "s3://data/one.txt"}
        assert heard[1].outputs == {"seen": "s3://jobs/p/seen", "out": "s3://jobs/p/out"}
        assert (heard[1].image, heard[1].role) == (IMAGE, ROLE)
        assert heard[1].times["EndTime"] == job["ProcessingEndTime"]

    run(scenario())


async def heard_by(heard: list[JobFacts], job: JobFacts) -> None:
    heard.append(job)
    raise RuntimeError("a listener that fails is no matter of the job")


def test_a_job_that_fails_says_why_and_leaves_no_output(inside):
    async def scenario() -> None:
        async with inside.running():
            told = json.dumps({"output/message": "no rows", "processing/out/x": "y"})
            await inside.process("p", files=told, exit="1", lines=json.dumps(["first", "last"]))
            job = await inside.processed("p")
            await inside.process("none", until="/none", exit="3")
            nothing = await failure(inside.call("DeleteProcessingJob", ProcessingJobName="none"))
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["ExitMessage"] == "no rows"
        assert job["FailureReason"].startswith(
            "AlgorithmError: See job logs for more information (the container exited"
        )
        assert job["FailureReason"].endswith("first\nlast")
        assert not [key for bucket, key in inside.aws.objects if bucket == "jobs"]
        assert nothing.code == "ResourceInUse"

    run(scenario())


def test_a_job_that_is_stopped_or_has_had_its_time_leaves_what_it_has(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            rescue = json.dumps({"processing/out/rescued": "x"})
            await inside.process("p", until=hold.until, fork="1", on_term=rescue)
            short = processing_of("short", until="/none", on_term=rescue)
            await inside.call("CreateProcessingJob", **{**short, "StoppingCondition": {"MaxRuntimeInSeconds": 5}})
            await hold.reached()
            await inside.call("StopProcessingJob", ProcessingJobName="p")
            stopping = await failure(inside.call("StopProcessingJob", ProcessingJobName="p"))
            stopped, short = await inside.processed("p"), await inside.processed("short")
            assert ours(inside) == []
            await inside.call("DeleteProcessingJob", ProcessingJobName="p")
            gone = await failure(inside.call("DescribeProcessingJob", ProcessingJobName="p"))
        assert [job["ProcessingJobStatus"] for job in (stopped, short)] == ["Stopped", "Stopped"]
        assert "FailureReason" not in stopped
        assert inside.aws.objects["jobs", "p/out/rescued"] == inside.aws.objects["jobs", "short/out/rescued"] == b"x"
        assert stopping.message == "The request was rejected because the processing job is in status Stopping."
        assert gone.message == "Could not find requested job with name: p"

    run(scenario())


def test_a_job_with_the_name_of_one_that_was_deleted_stops_when_it_is_to(inside):
    hold, told = inside.hold(), asyncio.Event()

    async def slow(job: JobFacts) -> None:
        if job.over:
            await told.wait()

    async def scenario() -> None:
        async with inside.running():
            inside.service.jobs.hear(slow)
            await inside.process("p")
            await inside.processed("p")
            (first,) = [task for task in asyncio.all_tasks() if task.get_name() == "processing job p"]
            await inside.call("DeleteProcessingJob", ProcessingJobName="p")
            await inside.process("p", until=hold.until)
            await hold.reached()
            told.set()
            await first
            await inside.call("StopProcessingJob", ProcessingJobName="p")
            assert (await inside.processed("p"))["ProcessingJobStatus"] == "Stopped"

    run(scenario())


def test_a_job_that_a_server_left_is_failed_at_the_next_start(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            await inside.process("p", until=hold.until)
            await hold.reached()
        assert ours(inside) == []
        async with inside.running():
            job = await inside.processed("p")
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("InternalServerError: ")
        assert inside.bus.of_processing("p")[-1]["FailureReason"] == job["FailureReason"]

    run(scenario())


def test_each_status_is_told_and_the_output_is_in_the_log(inside):
    async def scenario() -> None:
        async with inside.with_timing(logs=1000).running():
            request = processing_of("p", lines=json.dumps(["hello"]))
            await inside.call("CreateProcessingJob", **request, Tags=[{"Key": "team", "Value": "orders"}])
            job = await inside.processed("p")
            ((group, stream),) = inside.aws.lines
            assert group == "/aws/sagemaker/ProcessingJobs"
            assert re.fullmatch(r"p/algo-1-\d{10}", stream)
            assert inside.aws.lines[group, stream] == ["hello"]
            while (told := inside.bus.of_processing("p"))[-1]["ProcessingJobStatus"] == "InProgress":
                await asyncio.sleep(0.02)  # an event is told right after what it tells of
        assert told[0]["ProcessingJobStatus"] == "InProgress"
        assert told[-1]["ProcessingEndTime"] == round(job["ProcessingEndTime"] * 1000)
        assert told[-1]["Tags"] == {"team": "orders"}
        assert told[-1]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] == "END_OF_JOB"

    run(scenario())


def test_an_output_that_cannot_be_put_fails_the_job(inside):
    inside.aws.refused.add("PutObject")

    async def scenario() -> None:
        async with inside.running():
            await inside.process("p")
            job = await inside.processed("p")
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("ClientError: Artifact upload failed:s3://jobs/p/seen/seen.json")

    run(scenario())


def place(**more: Any) -> dict[str, Any]:
    one = input_of("train")
    return {"ProcessingInputs": [{**one, "S3Input": {**one["S3Input"], **more}}]}


def cluster(**more: Any) -> dict[str, Any]:
    return {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 1, **more}}}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (cluster(), "ClusterConfig.InstanceCount is missing"),
        (cluster(InstanceCount=2), "InstanceCount = 2 (supported: 1)"),
        (place(S3DataType="ManifestFile"), "S3DataType = ManifestFile (supported: S3Prefix)"),
        (place(S3InputMode="Pipe"), "S3InputMode = Pipe (supported: File)"),
        (
            place(LocalPath="/tmp/x"),
            "LocalPath of ProcessingInputs train is '/tmp/x'; it must be a path below /opt/ml/",
        ),
        (place(LocalPath="/opt/ml/processing/../x"), "it must be a path below /opt/ml/processing/"),
        (place(LocalPath="/opt/ml/processing/"), "it must be a path below /opt/ml/processing/"),
        (place(S3Uri="https://data/train"), "The S3 URI of ProcessingInputs train is https://data/train"),
        (place(), 'No S3 objects found under S3 URL "s3://data/train" given in input data source.'),
        ({"ProcessingInputs": [input_of("a"), input_of("a")]}, "ProcessingInputs must be unique; they are a, a."),
        ({"ProcessingInputs": [{"InputName": "a"}]}, "ProcessingInputs a has no S3Input"),
        ({"NetworkConfig": {"EnableNetworkIsolation": True}}, "EnableNetworkIsolation = True (supported: False)"),
        ({"AppSpecification": {"ImageUri": "unknown:1"}}, "Cannot find the requested image: unknown:1"),
        ({"RoleArn": f"{ROLE}-none"}, f"Could not assume role {ROLE}-none. Please ensure that the role exists"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 777601}}, "Member must have value less than or equal to 777600"),
    ],
)
def test_what_cannot_be_is_refused_by_name(inside, changes, why):
    async def scenario() -> None:
        async with inside.running():
            refused = await failure(inside.call("CreateProcessingJob", **{**processing_of("p"), **changes}))
            assert not (await inside.call("ListProcessingJobs"))["ProcessingJobSummaries"]
        assert refused.code == "ValidationException"
        assert why in refused.message

    run(scenario())


def test_jobs_are_listed_a_page_at_a_time_and_as_many_run_as_the_machine_bears(inside):
    hold = inside.hold()

    async def scenario() -> None:
        async with inside.running():
            for name in ("a", "b", "c"):
                await inside.process(name, **({"exit": "1"} if name == "b" else {}))
                await inside.processed(name)
            taken = await failure(inside.process("a"))
            found, token = [], {}
            while True:
                page = await inside.call(
                    "ListProcessingJobs", SortBy="Name", SortOrder="Ascending", MaxResults=2, **token
                )
                found += [job["ProcessingJobName"] for job in page["ProcessingJobSummaries"]]
                if "NextToken" not in page:
                    break
                token = {"NextToken": page["NextToken"]}
            failed = await inside.call("ListProcessingJobs", StatusEquals="Failed")
            for number in range(8):
                await inside.process(f"held-{number}", until=hold.until)
            crowd = await failure(inside.process("one-too-many"))
            hold.release()
            for number in range(8):
                await inside.processed(f"held-{number}")
        assert found == ["a", "b", "c"]
        assert [job["ProcessingJobName"] for job in failed["ProcessingJobSummaries"]] == ["b"]
        assert taken.code == "ResourceInUse"
        assert (crowd.code, "'ml.m5.large for processing job usage' is 8 Instances" in crowd.message) == (
            "ResourceLimitExceeded",
            True,
        )

    run(scenario())
