"""What does a step do that runs a training or a processing job?"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from localcloud.sagemaker import step_retries
from localcloud.sagemaker.job_runs import LOST
from localcloud.sagemaker.step_run import Outcome, StepFailed, StepRun, StepStopped
from localcloud.sagemaker.store import Document

PIPELINE_TAG = "sagemaker:pipeline-execution-arn"
"""The tag by which SageMaker marks what a pipeline makes."""

_log = logging.getLogger(__name__)


async def run(step: StepRun, arguments: Document) -> Outcome:
    """Begin a job and wait for it. A job that ended with a killed server is begun again.

    Raises:
        StepFailed: The job cannot begin, or comes to nothing.
        StepStopped: The execution is to stop, and the job has stopped.
    """
    kind = step.step.kind
    while True:
        name = step.written["JobName"]
        stored = f"{step.step.type.lower()}-job"
        if step.works.jobs.find(stored, name) is None:
            if step.stop.is_set():
                raise StepStopped
            await step.call(kind.create, {**arguments, **_of_execution(step, arguments), kind.named: name})
        metadata = {kind.metadata: {"Arn": step.works.account.arn(stored, name)}}
        if step.written.get("Metadata") != metadata:
            await step.note(StepStatus="Executing", Metadata=metadata)
        await _until_over(step, stored, name)
        described = await step.call(kind.describe, {kind.named: name})
        if described.get("FailureReason") != LOST:
            return _outcome(step, described, metadata)
        await step.note(JobName=step.another_name(), StepStatus="Starting", Metadata=None)


def tagged(step: StepRun, arguments: Document) -> Document:
    """The tags of what a step makes: those of the definition, and SageMaker's own."""
    return {"Tags": [*arguments.get("Tags", []), {"Key": PIPELINE_TAG, "Value": step.arn}]}


def _of_execution(step: StepRun, arguments: Document) -> Document:
    """What a job's request has because it is one of a pipeline."""
    experiment = step.execution.get("PipelineExperimentConfig", {})
    config = {**experiment, **arguments.get("ExperimentConfig", {})}
    return tagged(step, arguments) | ({"ExperimentConfig": config} if config else {})


async def _until_over(step: StepRun, stored: str, name: str) -> None:
    """Wait for a job; stop it when the execution is to stop."""
    waits: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(step.works.jobs.over(stored, name)),
        asyncio.ensure_future(step.stop.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not waits[0].done():
            await step.note(StepStatus="Stopping")
            try:
                await step.call(step.step.kind.stop, {step.step.kind.named: name})
            except StepFailed as failed:  # it is over meanwhile, or the role may not stop it
                _log.warning("job %s was not stopped: %s", name, failed.reason)
        await waits[0]
    finally:
        for wait in waits:
            wait.cancel()


def _outcome(step: StepRun, described: Document, metadata: Document) -> Outcome:
    status = described[f"{step.step.type}JobStatus"]
    if status == "Completed":
        return Outcome(described, metadata)
    if status == "Stopped" and step.stop.is_set():
        raise StepStopped
    name = described[step.step.kind.named]
    secondary = described.get("SecondaryStatus", status)
    reason = described.get("FailureReason", f"ClientError: Job {name} has ended in status {secondary}.")
    raise StepFailed(reason, step_retries.of_failure(reason), metadata)
