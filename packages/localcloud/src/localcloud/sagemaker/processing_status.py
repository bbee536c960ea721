"""What is shown of a processing job, and what are others told of it?"""

from __future__ import annotations

from localcloud.sagemaker.job_kinds import PROCESSING
from localcloud.sagemaker.job_news import JobFacts, facts_of
from localcloud.sagemaker.store import Document

JOB = PROCESSING.stored


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
    return facts_of(
        PROCESSING,
        job,
        image=job["AppSpecification"]["ImageUri"],
        inputs={one["InputName"]: one["S3Input"]["S3Uri"] for one in inputs(job)},
        outputs={one["OutputName"]: one["S3Output"]["S3Uri"] for one in outputs(job)},
        parameters={},
    )
