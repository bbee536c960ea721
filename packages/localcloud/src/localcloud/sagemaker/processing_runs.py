"""How does a processing job get from one status to the next?"""

from __future__ import annotations

import asyncio

from localcloud.sagemaker import job_process, processing_folder, processing_status
from localcloud.sagemaker.child import how_it_ended
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.images import PROCESS, Program
from localcloud.sagemaker.job_kinds import PROCESSING
from localcloud.sagemaker.job_news import JobFacts
from localcloud.sagemaker.job_runs import JobRuns, Machine, Run
from localcloud.sagemaker.logs import PROCESSING_JOBS
from localcloud.sagemaker.store import Document


class ProcessingRuns(JobRuns):
    """Runs processing jobs."""

    def __init__(self, machine: Machine, events: Events) -> None:
        super().__init__(machine, PROCESSING, PROCESS)
        self._events = events

    def facts(self, job: Document) -> JobFacts:
        """What others are told of a job."""
        return processing_status.facts(job)

    async def _attempt(self, run: Run) -> str | None:
        asked, name = run.job["AppSpecification"], self._kind.name(run.job)
        program = await self._program(run, asked["ImageUri"], asked, run.job.get("Environment", {}))
        s3 = await asyncio.to_thread(run.role.client, "s3")
        await asyncio.to_thread(processing_folder.make, run.folder, run.job)
        await asyncio.to_thread(processing_folder.download, run.folder, run.job, s3)
        if not await self._goes_on(name, self._started):
            return None
        reason = await self._process(run, program)
        if told := await asyncio.to_thread(processing_folder.message, run.folder):
            run.job["ExitMessage"] = told
        if reason is None:
            await asyncio.to_thread(processing_folder.upload, run.folder, run.job, s3)
        return reason

    async def _process(self, run: Run, program: Program) -> str | None:
        """Run the program to its end; answers why it failed, if it did."""
        name = self._kind.name(run.job)
        ended = await job_process.run(
            *(program, run.identity, self._hosting),
            self._hosting.logs.stream(PROCESSING_JOBS, f"{name}/algo-1-{round(self._account.now())}"),
            seconds=run.job["StoppingCondition"]["MaxRuntimeInSeconds"],
            stop=run.stop,
            exceeded=lambda: self._change(name, self._exceeded),
        )
        if not ended.code:
            return None
        return (
            f"AlgorithmError: See job logs for more information (the container {how_it_ended(ended.code)}). "
            f"Last output:\n{ended.last_output or '(none)'}"
        )

    def _started(self, job: Document) -> None:
        now = self._account.now()
        job.update(ProcessingStartTime=now, LastModifiedTime=now)

    def _exceeded(self, job: Document) -> None:
        if job["ProcessingJobStatus"] == "InProgress":
            job.update(ProcessingJobStatus="Stopping", LastModifiedTime=self._account.now())

    def _settle(self, job: Document, run: Run, reason: str | None, *, lost: bool) -> None:
        if "ExitMessage" in run.job:
            job["ExitMessage"] = run.job["ExitMessage"]
        if job["ProcessingJobStatus"] == "Stopping" and not lost:
            self._end(job, "Stopped", None)
        else:
            self._end(job, "Failed" if reason else "Completed", reason)

    def _end(self, job: Document, status: str, reason: str | None) -> None:
        now = self._account.now()
        job.update(ProcessingJobStatus=status, ProcessingEndTime=now, LastModifiedTime=now)
        if reason:
            job["FailureReason"] = shortened(reason)

    async def _announce(self, job: Document) -> None:
        await self._events.processing_job(job)
