"""Who is told that a job began, and that it ended, and what of it?

    news = JobNews()
    news.hear(lineage.of_job)                     # called with the facts of each job, twice: begun and over
    await news.tell(training_status.facts(job))

Those who hear are called one after another, in the order in which they came; what one of them raises is logged and
changes nothing for the job. A job that ended with its server is told as over at the next start. A server that was
killed between the end of a job and the telling never tells: whoever keeps what it hears looks at the store when it
starts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from localcloud.sagemaker.job_kinds import UNFINISHED, JobKind
from localcloud.sagemaker.store import Document

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobFacts:
    """A job, whatever its kind.

    Attributes:
        kind: Of its ARN and its documents: `training-job` or `processing-job`.
        name: Its name.
        arn: Its ARN.
        status: `InProgress` when it begins; then `Completed`, `Failed` or `Stopped`.
        image: What it runs.
        role: Whose rights it has.
        inputs: Addresses in S3, by the name of the channel or input.
        outputs: Addresses in S3 that it writes below, by the name of the output; a training job's model is `model`.
        parameters: Its hyperparameters; empty for a processing job.
        environment: Variables that whoever asked for it has set.
        experiment: Its ExperimentConfig, empty if it has none.
        tags: Values by key; a step of a pipeline has `sagemaker:pipeline-execution-arn`.
        times: Epoch seconds of `CreationTime`, and of `StartTime` and `EndTime` if they are known.
        document: All that is kept of it, as its Describe operation shows it, and a little more.
    """

    kind: str
    name: str
    arn: str
    status: str
    image: str
    role: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    environment: Mapping[str, str]
    experiment: Mapping[str, str]
    tags: Mapping[str, str]
    times: Mapping[str, float]
    document: Document

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status not in UNFINISHED


Listener = Callable[[JobFacts], Awaitable[None]]


class JobNews:
    """Tells of jobs."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def hear(self, listener: Listener) -> None:
        """Have someone told from now on."""
        self._listeners.append(listener)

    async def tell(self, job: JobFacts) -> None:
        """Tell all of them."""
        for listener in self._listeners:
            try:
                await listener(job)
            except Exception:
                _log.exception("%s was told, and failed for it", job.arn)


def facts_of(
    kind: JobKind,
    job: Document,
    *,
    image: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    parameters: Mapping[str, str],
) -> JobFacts:
    """What others are told of a job; what differs from kind to kind is given, as `JobFacts` has it."""
    times = {"CreationTime": "CreationTime", f"{kind.word}StartTime": "StartTime", f"{kind.word}EndTime": "EndTime"}
    return JobFacts(
        kind=kind.stored,
        name=kind.name(job),
        arn=job[kind.member("Arn")],
        status=kind.status(job),
        image=image,
        role=job["RoleArn"],
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        environment=job.get("Environment", {}),
        experiment=job.get("ExperimentConfig", {}),
        tags={tag["Key"]: tag["Value"] for tag in job.get("Tags", ())},
        times={name: job[member] for member, name in times.items() if member in job},
        document=job,
    )
