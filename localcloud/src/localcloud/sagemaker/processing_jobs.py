"""What do clients ask of processing jobs: create, describe, list, stop, delete?"""

from __future__ import annotations

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.images import Images
from localcloud.sagemaker.job_checks import UNFINISHED, assume, refuse_crowd, refuse_taken, require_input, require_s3
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.processing_folder import PROCESSING
from localcloud.sagemaker.processing_runs import ProcessingRuns
from localcloud.sagemaker.processing_status import JOB, described, inputs, outputs
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request
from localcloud.server.platform import Roles

_RUN = 86_400  # MaxRuntimeInSeconds that AWS takes if there is none


class ProcessingJobs:
    """The control plane of processing jobs; what follows from a request is the runs'.

    Differs from AWS: one instance a job, inputs of S3 in `File` mode under a prefix, outputs to S3 at the end of the
    job; no data sets of Athena and Redshift, no feature groups; at most 8 jobs at once.
    """

    def __init__(self, store: Store, account: Account, roles: Roles, images: Images, runs: ProcessingRuns) -> None:
        self._store = store
        self._account = account
        self._roles = roles
        self._images = images
        self._runs = runs

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateProcessingJob": self.create,
            "DescribeProcessingJob": self.describe,
            "ListProcessingJobs": self.list,
            "StopProcessingJob": self.stop,
            "DeleteProcessingJob": self.delete,
        }

    async def create(self, request: Request) -> Document:
        """Begin a job after checking what AWS checks at once: its role, its image, its input, its name."""
        job = _complete(request)
        name = job["ProcessingJobName"]
        arn = self._account.arn(JOB, name)
        refuse_taken("Processing", self._store.get(JOB, name), arn)
        role = assume(self._roles, job["RoleArn"], arn, job["StoppingCondition"]["MaxRuntimeInSeconds"])
        image = job["AppSpecification"]["ImageUri"]
        if not await self._images.knows(image):
            raise invalid(f"Cannot find the requested image: {image}")
        await require_input([one["S3Input"]["S3Uri"] for one in inputs(job)], role, job["RoleArn"], self._account)
        async with self._store.change() as change:
            refuse_taken("Processing", self._store.get(JOB, name), arn)
            instance = job["ProcessingResources"]["ClusterConfig"]["InstanceType"]
            refuse_crowd("Processing", instance, self._store.all(JOB))
            now = self._account.now()
            times = {"CreationTime": now, "LastModifiedTime": now}
            job |= {"ProcessingJobArn": arn, "ProcessingJobStatus": "InProgress", **times}
            change.put(JOB, name, job)
        self._runs.begin(job, role)
        return {"ProcessingJobArn": arn}

    async def describe(self, request: Request) -> Document:
        """How a job is now."""
        return described(self._get(request["ProcessingJobName"]))

    async def list(self, request: Request) -> Document:
        """Jobs, the newest first unless asked otherwise."""
        listing = Listing(
            "ProcessingJobSummaries",
            "ProcessingJobName",
            _summary,
            sort_members={"CreationTime": "CreationTime", "Status": "ProcessingJobStatus"},
            equals={"StatusEquals": "ProcessingJobStatus"},
        )
        return listing.page(self._store.all(JOB), request)

    async def stop(self, request: Request) -> Document:
        """Begin to stop a job."""
        async with self._store.change() as change:
            job = self._get(request["ProcessingJobName"])
            status = job["ProcessingJobStatus"]
            if status != "InProgress":
                raise invalid(f"The request was rejected because the processing job is in status {status}.")
            job.update(ProcessingJobStatus="Stopping", LastModifiedTime=self._account.now())
            change.put(JOB, job["ProcessingJobName"], job)
        await self._runs.interrupt(job["ProcessingJobName"])
        return {}

    async def delete(self, request: Request) -> Document:
        """Forget a job that is over."""
        async with self._store.change() as change:
            job = self._get(request["ProcessingJobName"])
            if job["ProcessingJobStatus"] in UNFINISHED:
                raise ApiError(
                    "ResourceInUse",
                    f"Processing job {job['ProcessingJobArn']} cannot be deleted in status "
                    f"{job['ProcessingJobStatus']}: stop it, or wait until it is over.",
                )
            change.delete(JOB, job["ProcessingJobName"])
        return {}

    def _get(self, name: str) -> Document:
        job = self._store.get(JOB, name)
        if job is None:
            raise invalid(f"Could not find requested job with name: {name}")
        return job


def _complete(request: Request) -> Document:
    """A job's document with AWS's defaults.

    Raises:
        ApiError: Something is missing that the service model does not call required, or contradicts itself.
    """
    cluster = request["ProcessingResources"]["ClusterConfig"]
    for member in ("InstanceType", "InstanceCount"):
        if member not in cluster:
            raise invalid(f"ProcessingResources.ClusterConfig.{member} is missing; the local SageMaker needs it.")
    _require_places("ProcessingInputs", inputs(request), "Input")
    _require_places("ProcessingOutputConfig.Outputs", outputs(request), "Output")
    job = {**request, "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": _RUN})}
    if inputs(request):
        job["ProcessingInputs"] = [_complete_input(one) for one in inputs(request)]
    if outputs(request):
        found = [{"AppManaged": False, **one} for one in outputs(request)]
        job["ProcessingOutputConfig"] = {**request["ProcessingOutputConfig"], "Outputs": found}
    return job


def _complete_input(one: Document) -> Document:
    defaults = {"S3InputMode": "File", "S3DataDistributionType": "FullyReplicated", "S3CompressionType": "None"}
    return {"AppManaged": False, **one, "S3Input": {**defaults, **one["S3Input"]}}


def _require_places(where: str, found: list[Document], way: str) -> None:
    """Refuse inputs or outputs without a place in S3 and one of their own below /opt/ml/processing."""
    names = [one[f"{way}Name"] for one in found]
    if len(names) != len(set(names)):
        raise invalid(f"The names in {where} must be unique; they are {', '.join(names)}.")
    for name, one in zip(names, found, strict=True):
        place = one.get(f"S3{way}")
        if place is None:
            raise invalid(f"{where} {name} has no S3{way}; the local SageMaker needs it.")
        path = place.get("LocalPath", "")
        inside = path.startswith(PROCESSING) and ".." not in path.split("/")
        if not inside or not path.removeprefix(PROCESSING).strip("/"):
            raise invalid(f"LocalPath of {where} {name} is {path!r}; it must be a path below {PROCESSING}.")
    require_s3((f"{where} {name}", one[f"S3{way}"]["S3Uri"]) for name, one in zip(names, found, strict=True))


def _summary(job: Document) -> Document:
    members = (
        "ProcessingJobName",
        "ProcessingJobArn",
        "CreationTime",
        "ProcessingEndTime",
        "LastModifiedTime",
        "ProcessingJobStatus",
        "FailureReason",
        "ExitMessage",
    )
    return {member: job[member] for member in members if member in job}
