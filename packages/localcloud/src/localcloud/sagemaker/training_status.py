"""Which statuses does a training job go through, and what is shown of it?"""

from __future__ import annotations

from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.job_news import JobFacts, facts_of
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.training_folder import output, source

JOB = TRAINING.stored

_OVER = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded"}
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
# Kept in the document for our own use, or told elsewhere (ListTags).
_INTERNAL = {"Tags", "Ending", "MetricSummaries"}


def enter(job: Document, secondary: str, now: float) -> None:
    """Move a job's document to a SecondaryStatus; the one before ends."""
    transitions = job.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": _MESSAGES[secondary]})
    job.update(SecondaryStatus=secondary, LastModifiedTime=now)
    if secondary == "Downloading":
        job["TrainingStartTime"] = now
    if secondary in _OVER:
        transitions[-1]["EndTime"] = now
        _account_for(job, now)


def _account_for(job: Document, now: float) -> None:
    """Note how long it took: from the first byte of data to the last of the model, as AWS bills."""
    job["TrainingEndTime"] = now
    if "TrainingStartTime" in job:
        seconds = max(1, round(now - job["TrainingStartTime"]))
        job.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)


def described(job: Document) -> Document:
    """A job as DescribeTrainingJob shows it, which shows no empty list of channels."""
    return {name: value for name, value in job.items() if name not in _INTERNAL and value != []}


def facts(job: Document) -> JobFacts:
    """What others are told of a job."""
    return facts_of(
        TRAINING,
        job,
        image=job["AlgorithmSpecification"]["TrainingImage"],
        inputs={channel["ChannelName"]: source(channel)["S3Uri"] for channel in job["InputDataConfig"]},
        outputs={"model": f"{output(job)}/model.tar.gz"},
        parameters=job.get("HyperParameters", {}),
    )
