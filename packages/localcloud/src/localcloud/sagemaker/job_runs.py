"""How does a job of any kind get from one status to the next?

A task for each job starts it, waits for it, and writes down what comes of it. A job does not outlive its server: its
process dies with it, and the next start finds it `InProgress` and calls it `Failed`.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.fleet import Hosting
from localcloud.sagemaker.images import CONTAINER_LABEL, ImageUnusable, Program
from localcloud.sagemaker.job_kinds import JobKind
from localcloud.sagemaker.job_news import JobFacts, JobNews
from localcloud.sagemaker.processes import environment
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.transfer import DownloadFailed, UploadFailed
from localcloud.server import background
from localcloud.server.platform import Assumed

LOST = (
    "InternalServerError: We encountered an internal error. Please try again. (The local cloud ended while the job "
    "ran, and the job with it.)"
)
"""Why a job failed that ended with its server."""

_log = logging.getLogger(__name__)


class JobFailed(Exception):
    """The job came to nothing; the text is its FailureReason."""


@dataclass(frozen=True)
class Machine:
    """What all jobs of a server share.

    Attributes:
        store: Keeps their documents.
        account: Whose they are.
        hosting: What they share with endpoints: the machine, its images, its logs.
        news: Tells the other parts of their beginnings and ends.
        folder: Has a folder for each job that runs.
    """

    store: Store
    account: Account
    hosting: Hosting
    news: JobNews
    folder: Path


@dataclass
class Run:
    """A job that is not over.

    Attributes:
        job: Its document when it began.
        role: Whose rights it has.
        folder: Stands for `/opt/ml`.
        identity: The mark of its processes.
        stop: Set when it is to stop.
    """

    job: Document
    role: Assumed
    folder: Path
    identity: str = field(default_factory=lambda: f"job-{secrets.token_hex(9)[:17]}")
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class JobRuns(abc.ABC):
    """Runs jobs of one kind.

    Args:
        machine: What they share with others.
        kind: Which.
        verb: What an image is asked to do in such a job.
    """

    def __init__(self, machine: Machine, kind: JobKind, verb: str) -> None:
        self._machine = machine
        self._store = machine.store
        self._account = machine.account
        self._hosting = machine.hosting
        self._kind = kind
        self._verb = verb
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, job: Document, role: Assumed) -> None:
        """Begin to run a job that the store has."""
        name = self._kind.name(job)
        run = self._runs[name] = Run(job, role, self._machine.folder / self._kind.stored / name)
        task = background.begin(self._run(name, run), f"{self._kind.word.lower()} job {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._forget(name, run))

    def _forget(self, name: str, run: Run) -> None:
        if self._runs.get(name) is run:  # another job may have the name of one that is over and deleted
            del self._tasks[name], self._runs[name]

    async def interrupt(self, name: str) -> None:
        """Have a job stop whose document says that it is to."""
        if run := self._runs.get(name):
            run.stop.set()
        await self._tell(name)

    async def recover(self) -> None:
        """Call the jobs failed that a server left behind."""
        kind = self._kind
        for name in [kind.name(job) for job in self._store.all(kind.stored) if not kind.over(job)]:
            await self._finish(name, lambda job: self._end(job, "Failed", LOST))

    async def stop(self) -> None:
        """End every process; the documents stay as they are, for `recover`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @abc.abstractmethod
    def facts(self, job: Document) -> JobFacts:
        """What others are told of a job."""

    @abc.abstractmethod
    async def _attempt(self, run: Run) -> str | None:
        """Take a job from its beginning to its upload; answers why its program failed, if it did."""

    @abc.abstractmethod
    def _settle(self, job: Document, run: Run, reason: str | None, *, lost: bool) -> None:
        """End a job: one that was to stop has stopped, unless what it left is lost."""

    @abc.abstractmethod
    def _end(self, job: Document, status: str, reason: str | None) -> None:
        """Write down how a job has ended."""

    @abc.abstractmethod
    async def _announce(self, job: Document) -> None:
        """Tell the event bus how a job is now."""

    async def _run(self, name: str, run: Run) -> None:
        lost = False
        await self._machine.news.tell(self.facts(run.job))
        await self._tell(name)
        try:
            reason = await self._attempt(run)
        except (JobFailed, DownloadFailed) as error:
            reason = str(error)
        except UploadFailed as error:
            reason, lost = str(error), True
        except Exception as error:
            _log.exception("%s job %s failed", self._kind.word.lower(), name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
        finally:
            await asyncio.to_thread(shutil.rmtree, run.folder, ignore_errors=True)
        await self._finish(name, lambda job: self._settle(job, run, reason, lost=lost))

    async def _program(self, run: Run, image: str, asked: Mapping[str, Any], wanted: Mapping[str, str]) -> Program:
        """What runs in a job.

        Args:
            run: The job.
            image: As it names it.
            asked: The part of its document that may name another entry point than the image's own, and arguments.
            wanted: Variables for the program.

        Raises:
            JobFailed: Nothing can run.
        """
        platform = self._hosting.platform
        variables = environment(platform, run.identity, {**wanted, **run.role.environment})
        labels = {CONTAINER_LABEL: str(platform.state.resolve())}
        try:
            found = await self._hosting.images.resolve(image)
            return found.job(*(self._verb, run.folder, asked), name=run.identity, environment=variables, labels=labels)
        except ImageUnusable as error:
            raise JobFailed(f"ClientError: {error}") from error

    async def _goes_on(self, name: str, change: Callable[[Document], None]) -> bool:
        """Change a job's document, unless it is to stop; answers whether it goes on."""

        def unless_it_stops(job: Document) -> None:
            if self._kind.status(job) == "InProgress":
                change(job)

        await self._change(name, unless_it_stops)
        job = self._store.get(self._kind.stored, name)
        return job is not None and self._kind.status(job) == "InProgress"

    async def _finish(self, name: str, end: Callable[[Document], None]) -> None:
        await self._change(name, end)
        if job := self._store.get(self._kind.stored, name):
            await self._machine.news.tell(self.facts(job))

    async def _change(self, name: str, change: Callable[[Document], None]) -> None:
        await self._store.persist(self._kind.stored, name, change, self._hosting.timing.retry_save)
        await self._tell(name)

    async def _tell(self, name: str) -> None:
        if job := self._store.get(self._kind.stored, name):
            await self._announce(job)
