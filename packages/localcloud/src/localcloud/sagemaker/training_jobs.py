"""What do clients ask of training jobs: create, describe, list, stop? What all jobs share is in `jobs`."""

from __future__ import annotations

import re

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.job_checks import require_s3
from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.jobs import LONGEST_BY_DEFAULT, Jobs, Needs
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.training_folder import output, source
from localcloud.sagemaker.training_runs import TrainingRuns
from localcloud.sagemaker.training_status import JOB, described, enter
from localcloud.sagemaker.wire import Operation, Request

_LONGEST_RUN = 28 * 86_400  # MaxRuntimeInSeconds at most


class TrainingJobs(Jobs[TrainingRuns]):
    """The control plane of training jobs.

    Differs from AWS: one instance a job, `File` mode, `S3Prefix` sources, no managed spot training, no retries, no
    debugger and profiler and no checkpoints; at most 8 jobs at once.
    """

    kind = TRAINING
    missing = "Requested resource not found."

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    async def describe(self, request: Request) -> Document:
        """How a job is now."""
        job = self._get(request)
        metrics = self._runs.metrics(job["TrainingJobName"])
        return described(job) | ({"FinalMetricDataList": metrics} if metrics else {})

    async def list(self, request: Request) -> Document:
        """Jobs, the newest first unless asked otherwise (AWS documents that order, and another default).

        As documented, with `MaxResults` a page is filled before `StatusEquals` is looked at.
        """
        if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
            return {"TrainingJobSummaries": []}  # no job here has a warm pool or a plan
        listing = Listing(
            "TrainingJobSummaries",
            "TrainingJobName",
            _summary,
            sort_members={"CreationTime": "CreationTime", "Status": "TrainingJobStatus"},
            equals={"StatusEquals": "TrainingJobStatus"},
        )
        if "MaxResults" not in request:
            return listing.page(self._store.all(JOB), request)
        status = request.get("StatusEquals")
        page = listing.page(self._store.all(JOB), {k: v for k, v in request.items() if k != "StatusEquals"})
        found = [job for job in page["TrainingJobSummaries"] if status in {None, job["TrainingJobStatus"]}]
        return page | {"TrainingJobSummaries": found}

    @staticmethod
    def _complete(request: Request) -> Document:
        algorithm, resources = request.get("AlgorithmSpecification", {}), request.get("ResourceConfig", {})
        for path, value in {
            "AlgorithmSpecification.TrainingImage": algorithm.get("TrainingImage"),
            "ResourceConfig.InstanceType": resources.get("InstanceType"),
            "ResourceConfig.InstanceCount": resources.get("InstanceCount"),
        }.items():
            if value is None:
                raise invalid(f"{path} is missing; the local SageMaker needs it.")
        inputs = request.get("InputDataConfig", ())
        channels = [channel["ChannelName"] for channel in inputs]
        if len(channels) != len(set(channels)):
            raise invalid(f"Channel names must be unique; they are {', '.join(channels)}.")
        for definition in algorithm.get("MetricDefinitions", ()):
            _require_pattern(definition)
        require_s3(
            [
                *((f"channel {channel['ChannelName']}", source(channel)["S3Uri"]) for channel in inputs),
                ("OutputDataConfig.S3OutputPath", request["OutputDataConfig"]["S3OutputPath"]),
            ]
        )
        seconds = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", LONGEST_BY_DEFAULT)
        if seconds > _LONGEST_RUN:
            raise invalid(f"StoppingCondition.MaxRuntimeInSeconds is {seconds}; {_LONGEST_RUN} (28 days) is the most.")
        return {
            **request,
            "InputDataConfig": [
                {"CompressionType": "None", "RecordWrapperType": "None", **channel} for channel in inputs
            ],
            "StoppingCondition": {"MaxRuntimeInSeconds": LONGEST_BY_DEFAULT, **request.get("StoppingCondition", {})},
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
            "EnableManagedSpotTraining": False,
            "ModelArtifacts": {"S3ModelArtifacts": f"{output(request)}/model.tar.gz"},
        }

    @staticmethod
    def _needs(job: Document) -> Needs:
        return Needs(
            job["AlgorithmSpecification"]["TrainingImage"],
            job["ResourceConfig"]["InstanceType"],
            [source(channel)["S3Uri"] for channel in job["InputDataConfig"]],
        )

    @staticmethod
    def _enter(job: Document, status: str, now: float) -> None:
        job["TrainingJobStatus"] = status
        enter(job, "Starting" if status == "InProgress" else status, now)


def _require_pattern(definition: Document) -> None:
    name, pattern = definition["Name"], definition["Regex"]
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise invalid(f"The Regex of metric definition {name} is no regular expression: {error}.") from error
    if not groups:
        raise invalid(f"The Regex of metric definition {name} has no group that could capture a value: {pattern}")


def _summary(job: Document) -> Document:
    members = (
        "TrainingJobName",
        "TrainingJobArn",
        "CreationTime",
        "TrainingEndTime",
        "LastModifiedTime",
        "TrainingJobStatus",
        "SecondaryStatus",
    )
    return {member: job[member] for member in members if member in job}
