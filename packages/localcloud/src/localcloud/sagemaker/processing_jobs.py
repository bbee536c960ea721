"""What do clients ask of processing jobs: create, describe, list, stop, delete? What all jobs share is in `jobs`."""

from __future__ import annotations

from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.job_checks import require_s3
from localcloud.sagemaker.job_kinds import PROCESSING
from localcloud.sagemaker.jobs import LONGEST_BY_DEFAULT, Jobs, Needs
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.processing_folder import PLACES
from localcloud.sagemaker.processing_runs import ProcessingRuns
from localcloud.sagemaker.processing_status import JOB, described, inputs, outputs
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.wire import Operation, Request


class ProcessingJobs(Jobs[ProcessingRuns]):
    """The control plane of processing jobs.

    Differs from AWS: one instance a job, inputs of S3 in `File` mode under a prefix, outputs to S3 at the end of the
    job; no data sets of Athena and Redshift, no feature groups; at most 8 jobs at once.
    """

    kind = PROCESSING
    missing = "Could not find requested job with name: {name}"

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateProcessingJob": self.create,
            "DescribeProcessingJob": self.describe,
            "ListProcessingJobs": self.list,
            "StopProcessingJob": self.stop,
            "DeleteProcessingJob": self.delete,
        }

    async def describe(self, request: Request) -> Document:
        """How a job is now."""
        return described(self._get(request))

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

    async def delete(self, request: Request) -> Document:
        """Forget a job that is over."""
        async with self._store.change() as change:
            job = self._get(request)
            if not self.kind.over(job):
                raise ApiError(
                    "ResourceInUse",
                    f"Processing job {job['ProcessingJobArn']} cannot be deleted in status "
                    f"{job['ProcessingJobStatus']}: stop it, or wait until it is over.",
                )
            change.delete(JOB, job["ProcessingJobName"])
        return {}

    @staticmethod
    def _complete(request: Request) -> Document:
        cluster = request["ProcessingResources"]["ClusterConfig"]
        for member in ("InstanceType", "InstanceCount"):
            if member not in cluster:
                raise invalid(f"ProcessingResources.ClusterConfig.{member} is missing; the local SageMaker needs it.")
        _require_places("ProcessingInputs", inputs(request), "Input")
        _require_places("ProcessingOutputConfig.Outputs", outputs(request), "Output")
        job = {
            **request,
            "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": LONGEST_BY_DEFAULT}),
        }
        if inputs(request):
            job["ProcessingInputs"] = [_complete_input(one) for one in inputs(request)]
        if outputs(request):
            found = [{"AppManaged": False, **one} for one in outputs(request)]
            job["ProcessingOutputConfig"] = {**request["ProcessingOutputConfig"], "Outputs": found}
        return job

    @staticmethod
    def _needs(job: Document) -> Needs:
        return Needs(
            job["AppSpecification"]["ImageUri"],
            job["ProcessingResources"]["ClusterConfig"]["InstanceType"],
            [one["S3Input"]["S3Uri"] for one in inputs(job)],
        )

    @staticmethod
    def _enter(job: Document, status: str, now: float) -> None:
        job.update(ProcessingJobStatus=status, LastModifiedTime=now)


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
        inside = path.startswith(PLACES) and ".." not in path.split("/")
        if not inside or not path.removeprefix(PLACES).strip("/"):
            raise invalid(f"LocalPath of {where} {name} is {path!r}; it must be a path below {PLACES}.")
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
