"""How does a training job get from one status to the next?"""

from __future__ import annotations

import asyncio
from pathlib import Path

from localcloud.sagemaker import job_process, training_folder, training_status
from localcloud.sagemaker.child import how_it_ended
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.images import TRAIN, Program
from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.job_news import JobFacts
from localcloud.sagemaker.job_process import Ended
from localcloud.sagemaker.job_runs import JobRuns, Machine, Run
from localcloud.sagemaker.logs import TRAINING_JOBS
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.training_metrics import TrainingMetrics
from localcloud.sagemaker.training_status import enter
from localcloud.server.platform import Assumed


class TrainingRuns(JobRuns):
    """Runs training jobs."""

    def __init__(self, machine: Machine, events: Events) -> None:
        super().__init__(machine, TRAINING, TRAIN)
        self._events = events
        self._metrics: dict[str, TrainingMetrics] = {}

    def begin(self, job: Document, role: Assumed) -> None:
        """Begin to run a job that the store has."""
        name = job["TrainingJobName"]
        self._metrics[name] = TrainingMetrics(job, self._account.now, self._hosting.platform.metrics)
        super().begin(job, role)
        self._tasks[name].add_done_callback(lambda _: self._metrics.pop(name))

    def metrics(self, name: str) -> list[Document]:
        """The last value of each metric of a job that runs."""
        metrics = self._metrics.get(name)
        return metrics.final() if metrics else []

    def facts(self, job: Document) -> JobFacts:
        """What others are told of a job."""
        return training_status.facts(job)

    async def _attempt(self, run: Run) -> str | None:
        asked, name = run.job["AlgorithmSpecification"], self._kind.name(run.job)
        own = {"TRAINING_JOB_NAME": name, "TRAINING_JOB_ARN": run.job["TrainingJobArn"]}
        program = await self._program(run, asked["TrainingImage"], asked, {**run.job.get("Environment", {}), **own})
        s3 = await asyncio.to_thread(run.role.client, "s3")
        await asyncio.to_thread(training_folder.make, run.folder, run.job)
        if not await self._enters(run, "Downloading"):
            return None
        await asyncio.to_thread(training_folder.download, run.folder, run.job, s3)
        if not await self._enters(run, "Training"):
            return None
        reason = await self._train(run, program)
        await self._change(name, lambda job: enter(job, "Uploading", self._account.now()))
        await asyncio.to_thread(training_folder.upload, run.folder, run.job, s3, model=reason is None)
        return reason

    async def _train(self, run: Run, program: Program) -> str | None:
        """Run the program to its end; answers why it failed, if it did."""
        name = self._kind.name(run.job)
        log = self._hosting.logs.stream(TRAINING_JOBS, f"{name}/algo-1-{round(self._account.now())}")
        metrics = self._metrics[name]

        def hear(line: str) -> None:
            log(line)
            metrics.hear(line)

        ended = await job_process.run(
            *(program, run.identity, self._hosting, hear),
            seconds=run.job["StoppingCondition"]["MaxRuntimeInSeconds"],
            stop=run.stop,
            exceeded=lambda: self._change(name, self._exceeded),
        )
        return _reason(run.folder, ended, ended.code) if ended.code else None

    def _exceeded(self, job: Document) -> None:
        if job["TrainingJobStatus"] == "InProgress":
            job.update(TrainingJobStatus="Stopping", Ending="MaxRuntimeExceeded")
            enter(job, "Stopping", self._account.now())

    def _settle(self, job: Document, run: Run, reason: str | None, *, lost: bool) -> None:
        if metrics := self.metrics(self._kind.name(run.job)):
            job["FinalMetricDataList"] = metrics
            job["MetricSummaries"] = self._metrics[self._kind.name(run.job)].summaries()
        if job["TrainingJobStatus"] == "Stopping" and not lost:
            self._end(job, job.get("Ending", "Stopped"), None)
        else:
            self._end(job, "Failed" if reason else "Completed", reason)

    def _end(self, job: Document, status: str, reason: str | None) -> None:
        job["TrainingJobStatus"] = "Stopped" if status == "MaxRuntimeExceeded" else status
        if reason:
            job["FailureReason"] = shortened(reason)
        enter(job, status, self._account.now())

    async def _enters(self, run: Run, secondary: str) -> bool:
        return await self._goes_on(self._kind.name(run.job), lambda job: enter(job, secondary, self._account.now()))

    async def _announce(self, job: Document) -> None:
        await self._events.training_job(job)


def _reason(folder: Path, ended: Ended, code: int) -> str:
    """Why an algorithm failed: in its own words, or else in its last ones."""
    told = training_folder.failure(folder)
    if told:
        return f"AlgorithmError: {told}, exit code: {code}"
    return f"AlgorithmError: the algorithm {how_it_ended(code)}. Last output:\n{ended.last_output or '(none)'}"
