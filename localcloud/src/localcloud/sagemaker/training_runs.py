"""How does a training job get from one status to the next?

A task for each job starts it, waits for it, and writes down what comes of it. A job does not outlive its server: its
process dies with it, and the next start finds it `InProgress` and calls it `Failed`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.sagemaker import training_folder
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.child import Child, how_it_ended
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.fleet import Hosting
from localcloud.sagemaker.images import CONTAINER_LABEL, ImageUnusable, Program
from localcloud.sagemaker.logs import TRAINING_JOBS
from localcloud.sagemaker.processes import environment
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.training_metrics import TrainingMetrics
from localcloud.sagemaker.training_status import UNFINISHED, enter
from localcloud.sagemaker.training_transfer import DownloadFailed, UploadFailed
from localcloud.server import background
from localcloud.server.platform import Assumed

JOB = "training-job"

_GRACE = 120.0  # seconds between SIGTERM and SIGKILL, as documented for StopTrainingJob
_LOST = (
    "InternalServerError: We encountered an internal error. Please try again. (The local cloud ended while the job "
    "ran, and the job with it.)"
)
_log = logging.getLogger(__name__)


class _Failed(Exception):
    """The job came to nothing; the text is its FailureReason."""


@dataclass
class _Run:
    """A job that is not over."""

    job: Document
    role: Assumed
    folder: Path
    metrics: TrainingMetrics
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.job["TrainingJobName"]


class TrainingRuns:
    """Runs training jobs.

    Args:
        store: Keeps their documents.
        account: Whose they are.
        hosting: What they share with endpoints: the machine, its images, its logs.
        events: Tells of their statuses.
        folder: Has a folder for each job that runs.
    """

    def __init__(self, store: Store, account: Account, hosting: Hosting, events: Events, folder: Path) -> None:
        self._store = store
        self._account = account
        self._hosting = hosting
        self._events = events
        self._folder = folder
        self._runs: dict[str, _Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, job: Document, role: Assumed) -> None:
        """Begin to run a job that the store has."""
        name = job["TrainingJobName"]
        metrics = TrainingMetrics(job, self._account.now, self._hosting.platform.metrics)
        run = self._runs[name] = _Run(job, role, self._folder / name, metrics)
        task = background.begin(self._run(run), f"training job {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: (self._tasks.pop(name), self._runs.pop(name)))

    def metrics(self, name: str) -> list[Document]:
        """The last value of each metric of a job that runs."""
        run = self._runs.get(name)
        return run.metrics.final() if run else []

    async def interrupt(self, name: str) -> None:
        """Have a job stop whose document says that it is to."""
        if run := self._runs.get(name):
            run.stop.set()
        await self._tell(name)

    async def recover(self) -> None:
        """Call the jobs failed that a server left behind."""
        for name in [job["TrainingJobName"] for job in self._store.all(JOB) if job["TrainingJobStatus"] in UNFINISHED]:
            await self._change(name, lambda job: self._end(job, "Failed", _LOST))

    async def stop(self) -> None:
        """End every process; the documents stay as they are, for `recover`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, run: _Run) -> None:
        lost = False
        try:
            reason = await self._attempt(run)
        except (_Failed, DownloadFailed) as error:
            reason = str(error)
        except UploadFailed as error:
            reason, lost = str(error), True
        except Exception as error:
            _log.exception("training job %s failed", run.name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
        finally:
            await asyncio.to_thread(shutil.rmtree, run.folder, ignore_errors=True)
        await self._change(run.name, lambda job: self._settle(job, run, reason, lost=lost))

    async def _attempt(self, run: _Run) -> str | None:
        """Take a job through its statuses; answers why its algorithm failed, if it did."""
        await self._tell(run.name)
        identity = f"job-{secrets.token_hex(9)[:17]}"
        program = await self._program(run, identity)
        s3 = await asyncio.to_thread(run.role.client, "s3")
        await asyncio.to_thread(training_folder.make, run.folder, run.job)
        if not await self._goes_on(run, "Downloading"):
            return None
        await asyncio.to_thread(training_folder.download, run.folder, run.job, s3)
        if not await self._goes_on(run, "Training"):
            return None
        reason = await self._train(run, program, identity)
        await self._change(run.name, lambda job: enter(job, "Uploading", self._account.now()))
        await asyncio.to_thread(training_folder.upload, run.folder, run.job, s3, model=reason is None)
        return reason

    async def _program(self, run: _Run, identity: str) -> Program:
        wanted = {
            **run.job.get("Environment", {}),
            "TRAINING_JOB_NAME": run.name,
            "TRAINING_JOB_ARN": run.job["TrainingJobArn"],
            **run.role.environment,
        }
        platform = self._hosting.platform
        labels = {CONTAINER_LABEL: str(platform.state.resolve())}
        try:
            image = await self._hosting.images.resolve(run.job["AlgorithmSpecification"]["TrainingImage"])
            return image.training(identity, run.folder, environment(platform, identity, wanted), labels)
        except ImageUnusable as error:
            raise _Failed(f"ClientError: {error}") from error

    async def _train(self, run: _Run, program: Program, identity: str) -> str | None:
        """Run the program until it ends, is to stop, or has had its time; answers why it failed, if it did."""
        log = self._hosting.logs.stream(TRAINING_JOBS, f"{run.name}/algo-1-{round(self._account.now())}")

        def hear(line: str) -> None:
            log(line)
            run.metrics.hear(line)

        child = await Child.start(program, identity, hear)
        grace = self._hosting.timing.shutdown
        try:
            waits = [asyncio.ensure_future(wait) for wait in (child.wait(), run.stop.wait())]
            limit = run.job["StoppingCondition"]["MaxRuntimeInSeconds"]
            try:
                done, _ = await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if not done:
                await self._change(run.name, self._exceeded)
            grace = self._hosting.scaled(_GRACE)
        finally:
            await child.end(grace)
        await self._hosting.logs.flush()
        if waits[0] not in done:
            return None
        code = waits[0].result()
        return None if code == 0 else _reason(run.folder, child, code)

    def _exceeded(self, job: Document) -> None:
        if job["TrainingJobStatus"] == "InProgress":
            job.update(TrainingJobStatus="Stopping", Ending="MaxRuntimeExceeded")
            enter(job, "Stopping", self._account.now())

    def _settle(self, job: Document, run: _Run, reason: str | None, *, lost: bool) -> None:
        """End a job: one that was to stop has stopped, unless what it left is lost."""
        if metrics := run.metrics.final():
            job["FinalMetricDataList"] = metrics
        if job["TrainingJobStatus"] == "Stopping" and not lost:
            self._end(job, job.get("Ending", "Stopped"), None)
        else:
            self._end(job, "Failed" if reason else "Completed", reason)

    def _end(self, job: Document, secondary: str, reason: str | None) -> None:
        job["TrainingJobStatus"] = "Stopped" if secondary == "MaxRuntimeExceeded" else secondary
        if reason:
            job["FailureReason"] = shortened(reason)
        enter(job, secondary, self._account.now())

    async def _goes_on(self, run: _Run, secondary: str) -> bool:
        """Move a job to its next status, unless it is to stop; answers whether it goes on."""

        def change(job: Document) -> None:
            if job["TrainingJobStatus"] == "InProgress":
                enter(job, secondary, self._account.now())

        await self._change(run.name, change)
        job = self._store.get(JOB, run.name)
        return job is not None and job["TrainingJobStatus"] == "InProgress"

    async def _change(self, name: str, change: Callable[[Document], None]) -> None:
        await self._store.persist(JOB, name, change, self._hosting.timing.retry_save)
        await self._tell(name)

    async def _tell(self, name: str) -> None:
        if job := self._store.get(JOB, name):
            await self._events.training_job(job)


def _reason(folder: Path, child: Child, code: int) -> str:
    """Why an algorithm failed: in its own words, or else in its last ones."""
    told = training_folder.failure(folder)
    if told:
        return f"AlgorithmError: {told}, exit code: {code}"
    return f"AlgorithmError: the algorithm {how_it_ended(code)}. Last output:\n{child.last_output or '(none)'}"
