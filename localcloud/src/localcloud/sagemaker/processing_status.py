"""What is shown of a processing job, and what are others told of it?"""

from __future__ import annotations

from localcloud.sagemaker.job_news import JobFacts, tags_of, times_of
from localcloud.sagemaker.store import Document

JOB = "processing-job"


def described(job: Document) -> Document:
    """A job as DescribeProcessingJob shows it."""
    return {name: value for name, value in job.items() if name != "Tags"}


def inputs(job: Document) -> list[Document]:
    """The inputs of a job."""
    return job.get("ProcessingInputs", [])


def outputs(job: Document) -> list[Document]:
    """The outputs of a job."""
    return job.get("ProcessingOutputConfig", {}).get("Outputs", [])


def facts(job: Document) -> JobFacts:
    """What others are told of a job."""
    return JobFacts(
        kind=JOB,
        name=job["ProcessingJobName"],
        arn=job["ProcessingJobArn"],
        status=job["ProcessingJobStatus"],
        image=job["AppSpecification"]["ImageUri"],
        role=job["RoleArn"],
        inputs={one["InputName"]: one["S3Input"]["S3Uri"] for one in inputs(job)},
        outputs={one["OutputName"]: one["S3Output"]["S3Uri"] for one in outputs(job)},
        parameters={},
        environment=job.get("Environment", {}),
        experiment=job.get("ExperimentConfig", {}),
        tags=tags_of(job),
        times=times_of(job, "Processing"),
        document=job,
    )
