"""How does one step of an execution get from its beginning to its end, whatever its type?

What it has done so far is in its document at every moment, so that it goes on where it was when the server was killed:
the name of its job is written down before the job is asked for, and the token of a callback before its message is sent.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import string
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker import step_cache, step_retries
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.execution_values import ExecutionValues
from localcloud.sagemaker.job_watch import JobWatch
from localcloud.sagemaker.pipeline_definition import Definition
from localcloud.sagemaker.pipeline_functions import FunctionFailed, resolve
from localcloud.sagemaker.pipeline_steps import Step
from localcloud.sagemaker.pipelines import PIPELINE, PRINCIPAL, STEP
from localcloud.sagemaker.store import Document, Store
from localcloud.server.platform import Assumed, RoleRefused, Roles

OVER = {"Succeeded", "Failed", "Stopped"}
"""Statuses of a step that is over."""

_T = TypeVar("_T")
_LETTERS = string.ascii_letters + string.digits
_LONGEST_JOB_NAME, _SUFFIX = 63, 10
_ROLE_SECONDS = 3_600.0
_LONGEST_SESSION = 64
_log = logging.getLogger(__name__)


class StepFailed(Exception):
    """A step has failed.

    Attributes:
        reason: Its FailureReason; may be empty.
        exception: In the words of retry policies; empty if it is none that may be tried again.
        metadata: What it has to show nevertheless.
    """

    def __init__(self, reason: str, exception: str = "", metadata: Document | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exception = exception
        self.metadata = metadata or {}


class StepStopped(Exception):
    """A step has stopped because its execution is to."""


@dataclass(frozen=True)
class Outcome:
    """What a step that succeeded has to show.

    Attributes:
        properties: What references to it find.
        metadata: What a listing shows.
        further: Members of its document beside these.
    """

    properties: Document
    metadata: Document
    further: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Works:
    """What all executions of a server share.

    Attributes:
        store: Keeps their documents.
        account: Whose they are.
        roles: Assumes their roles.
        events: Tells the event bus of them.
        jobs: Knows when a job is over.
        scaled: A documented wait in this cloud's time.
        retry_save: Seconds before a document is saved again that the disk refused.
        threads: In which steps wait for answers of this very cloud, so that they take none of those that answer.
    """

    store: Store
    account: Account
    roles: Roles
    events: Events
    jobs: JobWatch
    scaled: Callable[[float], float]
    retry_save: float
    threads: Executor

    async def in_thread(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """What a call answers that blocks."""
        in_context = partial(contextvars.copy_context().run, call, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self.threads, in_context)


@dataclass
class Signals:
    """What the parts of an execution tell each other.

    Attributes:
        stop: Set when it is to stop.
        woken: Set when its documents were changed from outside; whoever looks at them clears it.
        answered: Notified when a callback was answered.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)


class StepRun:
    """One step of one execution.

    Args:
        works: What all executions share.
        execution: The document of its execution.
        definition: What that executes.
        step: Its definition.
        signals: Of its execution.
    """

    def __init__(self, works: Works, execution: Document, definition: Definition, step: Step, signals: Signals) -> None:
        self.works = works
        self.execution = execution
        self.step = step
        self.stop = signals.stop
        self._answered = signals.answered
        self._definition = definition
        self._cache_key: str | None = None
        self._assumed: tuple[float, Assumed] | None = None
        self._key = works.account.name(PIPELINE, execution["PipelineExecutionArn"])

    async def run(self, handle: Callable[[StepRun, Document], Any]) -> None:
        """Take it to its end.

        Args:
            handle: Does what a step of its type does.
        """
        if self.document is None:
            await self._begin()
        try:
            outcome = await self._outcome(handle)
        except StepStopped:
            await self._end("Stopped")
        except StepFailed as failed:
            reason = {"FailureReason": shortened(failed.reason)} if failed.reason else {}
            await self._end("Failed", **reason, **({"Metadata": failed.metadata} if failed.metadata else {}))
        except Exception as error:
            _log.exception("step %s of %s failed", self.step.name, self._key)
            await self._end("Failed", FailureReason=shortened(f"InternalServerError: {type(error).__name__}: {error}"))
        else:
            shown = {"Properties": outcome.properties, "Metadata": outcome.metadata, "CacheKey": self._cache_key}
            await self._end("Succeeded", **shown, **outcome.further)

    @property
    def document(self) -> Document | None:
        """What is written down of it; None before it begins."""
        return self.works.store.get(STEP, f"{self._key}/{self.step.name}")

    @property
    def written(self) -> Document:
        """What is written down of it, which has begun."""
        return self.document or {}

    @property
    def arn(self) -> str:
        """Of its execution."""
        return self.execution["PipelineExecutionArn"]

    async def note(self, **members: Any) -> None:
        """Write down more of it; its new status is told. None forgets a member."""
        before = self.written.get("StepStatus", "")
        now = self.works.account.now()

        def change(document: Document) -> None:
            document.update(members, LastModifiedTime=now)
            for name in [name for name, value in members.items() if value is None]:
                document.pop(name, None)

        await self.works.store.persist(STEP, f"{self._key}/{self.step.name}", change, self.works.retry_save)
        if members.get("StepStatus", before) != before:
            await self.works.events.step(self.written, before)

    async def resolved(self, value: Any) -> Any:
        """A value of the definition without functions.

        Raises:
            StepFailed: A function comes to nothing.
        """
        arn = self.arn
        steps = {one["StepName"]: one for one in self.works.store.all(STEP) if one["PipelineExecutionArn"] == arn}
        values = ExecutionValues(
            *(self.execution, self._definition, steps, self.works.account.now()),
            job=self.written.get("JobName", ""),
            s3=lambda: self.role().client("s3"),
        )
        try:
            return await self.works.in_thread(resolve, value, values)
        except FunctionFailed as error:
            raise StepFailed(f"ClientError: {error}") from error

    def role(self) -> Assumed:
        """Become the pipeline's role, once an hour.

        Raises:
            StepFailed: It is not there any more, or does not trust SageMaker.
        """
        now = self.works.account.now()
        if self._assumed is None or self._assumed[0] < now:
            session = f"sagemaker-pipeline-{self.arn.rpartition('/')[2]}-{self.step.name}"[:_LONGEST_SESSION]
            try:
                assumed = self.works.roles.assume(
                    *(self.execution["RoleArn"], session),
                    principal=PRINCIPAL,
                    source_arn=self.execution["PipelineArn"],
                    seconds=2 * _ROLE_SECONDS,
                )
            except RoleRefused as error:
                role = self.execution["RoleArn"]
                raise StepFailed(f"ClientError: Could not assume role {role}: {error}") from error
            self._assumed = now + _ROLE_SECONDS, assumed
        return self._assumed[1]

    async def call(self, operation: str, request: Mapping[str, Any]) -> Document:
        """Ask SageMaker as the pipeline's role.

        Raises:
            StepFailed: It refuses.
        """
        return await self.invoke(f"sagemaker:{operation}", lambda role: role.sagemaker(operation, request))

    async def invoke(self, what: str, call: Callable[[Assumed], Any]) -> Any:
        """Call a service as the pipeline's role, in a thread.

        Raises:
            StepFailed: It refuses, or cannot be reached.
        """
        role = self.role()
        try:
            return await self.works.in_thread(call, role)
        except ClientError as error:
            told, status = error.response["Error"], error.response.get("ResponseMetadata", {})
            exception = step_retries.of_refusal(told.get("Code", ""), status.get("HTTPStatusCode", 400))
            reason = f"ClientError: Failed to invoke {what}. Error Details: {told.get('Message')}"
            raise StepFailed(reason, exception) from error
        except BotoCoreError as error:
            raise StepFailed(f"Failed to invoke {what}. Error Details: {error}", step_retries.SERVICE_FAULT) from error

    async def answered(self) -> Document:
        """The answer to its callback, when there is one."""
        async with self._answered:
            await self._answered.wait_for(lambda: "Answer" in self.written)
        return self.written["Answer"]

    async def answered_or_stopped(self) -> Document | None:
        """The answer to its callback; None if its execution is to stop before there is one."""
        waits = [asyncio.ensure_future(self.answered()), asyncio.ensure_future(self.stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.written.get("Answer")

    def another_name(self) -> str:
        """A new name for what it makes: `pipelines-<execution>-<step>-<suffix>`, or with a prefix of the definition."""
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(_SUFFIX))
        execution = self.arn.rpartition("/")[2]
        prefix = self.step.arguments.get(self.step.kind.named) if self.step.kind.named else None
        if isinstance(prefix, str):
            room = _LONGEST_JOB_NAME - len(execution) - _SUFFIX - 2
            return f"{prefix[:room].rstrip('-')}-{execution}-{suffix}"
        start = f"pipelines-{execution}-"
        word = self.step.name.replace("_", "-")[: _LONGEST_JOB_NAME - len(start) - _SUFFIX - 1].strip("-")
        return f"{start}{word}-{suffix}"

    async def _begin(self) -> None:
        now = self.works.account.now()
        members = ("PipelineName", "PipelineArn", "PipelineExecutionArn")
        document = {
            **{member: self.execution[member] for member in members},
            "StepName": self.step.name,
            "StepType": self.step.type,
            **self.step.shown,
            "StepStatus": "Starting",
            "StartTime": now,
            "LastModifiedTime": now,
            "AttemptCount": self.execution["Attempts"].get(self.step.name, 0) + 1,
            "JobName": self.another_name(),
        }
        async with self.works.store.change() as change:
            change.put(STEP, f"{self._key}/{self.step.name}", document)
        await self.works.events.step(document, "")

    async def _end(self, status: str, **members: Any) -> None:
        await self.note(**members, StepStatus=status, EndTime=self.works.account.now())

    async def _outcome(self, handle: Callable[[StepRun, Document], Any]) -> Outcome:
        retries: dict[str, int] = {}
        while True:
            try:
                arguments = await self.resolved(self.step.arguments)
                return await self._found_again(arguments) or await handle(self, arguments)
            except StepFailed as failed:
                await self._before_retry(failed, retries)

    async def _found_again(self, arguments: Document) -> Outcome | None:
        """What an earlier run of the step has left, if it is allowed to take that, and there is one."""
        counted = self.step.kind.cache_key
        if counted is None:
            return None
        besides = {"Target": await self.resolved(self.step.target), "Outputs": dict(self.step.outputs)}
        key = self._cache_key = step_cache.key(self.step.type, counted, arguments, besides)
        if self.step.cache_seconds is None:
            return None
        name, own = self.execution["PipelineName"], self.step.name
        runs = [one for one in self.works.store.all(STEP) if (one["PipelineName"], one["StepName"]) == (name, own)]
        run = step_cache.latest(runs, key, self.works.account.now() - self.step.cache_seconds)
        if run is None:
            return None
        hit = {"CacheHitResult": {"SourcePipelineExecutionArn": run["PipelineExecutionArn"]}}
        return Outcome(run["Properties"], run["Metadata"], hit)

    async def _before_retry(self, failed: StepFailed, retries: dict[str, int]) -> None:
        """Wait for the next attempt.

        Raises:
            StepFailed: There is to be none.
            StepStopped: The execution is to stop.
        """
        if not failed.exception:
            raise failed
        policy = step_retries.policy_for(failed.exception, self.step.retries)
        count = retries.get(failed.exception, 0)
        elapsed = self.works.account.now() - self.written["StartTime"]
        pause = policy.pause(count, elapsed) if policy else None
        if pause is None:
            why = f"Retries are exhausted after {count}" if policy else "No retry policy configured"
            kind = failed.exception.replace(".", "_").upper()
            raise StepFailed(
                f"{failed.reason}\nRetry not appropriate on execution of step with PipelineExecutionArn {self.arn} and "
                f"StepId {self.step.name}. {why} for the exception type {kind}.",
                metadata=failed.metadata,
            ) from failed
        retries[failed.exception] = count + 1
        try:
            await asyncio.wait_for(self.stop.wait(), self.works.scaled(pause))
        except TimeoutError:
            await self.note(AttemptCount=self.written["AttemptCount"] + 1, JobName=self.another_name())
        else:
            raise StepStopped
