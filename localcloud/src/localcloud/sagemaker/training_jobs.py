"""What do clients ask of training jobs: create, describe, list, stop?"""

from __future__ import annotations

import re

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.images import Images
from localcloud.sagemaker.job_checks import assume, refuse_crowd, refuse_taken, require_input, require_s3
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.training_folder import output, source
from localcloud.sagemaker.training_runs import TrainingRuns
from localcloud.sagemaker.training_status import JOB, described, enter
from localcloud.sagemaker.wire import Operation, Request
from localcloud.server.platform import Roles

_RUN, _LONGEST_RUN = 86_400, 28 * 86_400  # MaxRuntimeInSeconds that AWS takes if there is none, and at most


class TrainingJobs:
    """The control plane of training jobs; what follows from a request is the runs'.

    Differs from AWS: one instance a job, `File` mode, `S3Prefix` sources, no managed spot training, no retries, no
    debugger and profiler and no checkpoints; at most 8 jobs at once.
    """

    def __init__(self, store: Store, account: Account, roles: Roles, images: Images, runs: TrainingRuns) -> None:
        self._store = store
        self._account = account
        self._roles = roles
        self._images = images
        self._runs = runs

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    async def create(self, request: Request) -> Document:
        """Begin a job after checking what AWS checks at once: its role, its image, its input, its name."""
        job = _complete(request)
        name = job["TrainingJobName"]
        arn = self._account.arn(JOB, name)
        self._refuse_taken(name, arn)
        seconds = job["StoppingCondition"]["MaxRuntimeInSeconds"]
        role = assume(self._roles, job["RoleArn"], arn, seconds)
        image = job["AlgorithmSpecification"]["TrainingImage"]
        if not await self._images.knows(image):
            raise invalid(f"Cannot find the requested image: {image}")
        urls = [source(channel)["S3Uri"] for channel in job["InputDataConfig"]]
        await require_input(urls, role, job["RoleArn"], self._account)
        async with self._store.change() as change:
            self._refuse_taken(name, arn)
            refuse_crowd("Training", job["ResourceConfig"]["InstanceType"], self._store.all(JOB))
            now = self._account.now()
            job |= {"TrainingJobArn": arn, "TrainingJobStatus": "InProgress", "CreationTime": now}
            job["ModelArtifacts"] = {"S3ModelArtifacts": f"{output(job)}/model.tar.gz"}
            enter(job, "Starting", now)
            change.put(JOB, name, job)
        self._runs.begin(job, role)
        return {"TrainingJobArn": arn}

    async def describe(self, request: Request) -> Document:
        """How a job is now."""
        job = self._get(request["TrainingJobName"])
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

    async def stop(self, request: Request) -> Document:
        """Begin to stop a job."""
        async with self._store.change() as change:
            job = self._get(request["TrainingJobName"])
            if job["TrainingJobStatus"] != "InProgress":
                status = job["TrainingJobStatus"]
                raise invalid(f"The request was rejected because the training job is in status {status}.")
            job["TrainingJobStatus"] = "Stopping"
            enter(job, "Stopping", self._account.now())
            change.put(JOB, job["TrainingJobName"], job)
        await self._runs.interrupt(job["TrainingJobName"])
        return {}

    def _get(self, name: str) -> Document:
        job = self._store.get(JOB, name)
        if job is None:
            raise invalid("Requested resource not found.")
        return job

    def _refuse_taken(self, name: str, arn: str) -> None:
        refuse_taken("Training", self._store.get(JOB, name), arn)


def _complete(request: Request) -> Document:
    """A job's document with AWS's defaults.

    Raises:
        ApiError: Something is missing that the service model does not call required, or contradicts itself.
    """
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
    seconds = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _RUN)
    if seconds > _LONGEST_RUN:
        raise invalid(f"StoppingCondition.MaxRuntimeInSeconds is {seconds}; {_LONGEST_RUN} (28 days) is the most.")
    return {
        **request,
        "InputDataConfig": [{"CompressionType": "None", "RecordWrapperType": "None", **channel} for channel in inputs],
        "StoppingCondition": {"MaxRuntimeInSeconds": _RUN, **request.get("StoppingCondition", {})},
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": False,
    }


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
