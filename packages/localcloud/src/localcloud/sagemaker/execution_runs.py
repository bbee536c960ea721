"""Which steps of an execution run now, and how does it end?

A task for each execution begins every step whose needs are met, as many at once as its parallelism allows, and waits
for them. Once a step has failed, or the execution is to stop, those that run go on to their end and no other begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from localcloud.sagemaker import step_calls, step_choices, step_jobs, step_models
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.pipeline_definition import Definition
from localcloud.sagemaker.pipeline_steps import Step
from localcloud.sagemaker.pipelines import EXECUTION, RUNNING, STEP, Pipelines
from localcloud.sagemaker.step_run import OVER, Outcome, Signals, StepRun, Works
from localcloud.sagemaker.store import Document
from localcloud.server import background

_HANDLERS: dict[str, Callable[[StepRun, Document], Awaitable[Outcome]]] = {
    "Training": step_jobs.run,
    "Processing": step_jobs.run,
    "Model": step_models.make,
    "RegisterModel": step_models.register,
    "Condition": step_choices.decide,
    "Fail": step_choices.fail,
    "Lambda": step_calls.function,
    "Callback": step_calls.callback,
}
_FAILED = "Step failure: One or multiple steps failed."
_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 50  # steps, where an execution says nothing


@dataclass
class _Going:
    """An execution that is not over."""

    task: asyncio.Task[None] | None = None
    signals: Signals = field(default_factory=Signals)


class ExecutionRuns:
    """Runs executions.

    Args:
        works: What they share.
        pipelines: Has their definitions.
    """

    def __init__(self, works: Works, pipelines: Pipelines) -> None:
        self._works = works
        self._store = works.store
        self._pipelines = pipelines
        self._going: dict[str, _Going] = {}

    async def answered(self, key: str) -> None:
        """Have the callbacks of an execution look for their answers."""
        if going := self._going.get(key):
            async with going.signals.answered:
                going.signals.answered.notify_all()

    async def changed(self, key: str, before: str) -> None:
        """Have an execution do what its document says now, which had another status before, or none, empty."""
        execution = self._store.get(EXECUTION, key) or {}
        status = execution.get("PipelineExecutionStatus")
        if status != before:
            await self._works.events.execution(execution, before)
        if before not in RUNNING and status in RUNNING:
            self._begin(key)
        elif going := self._going.get(key):
            if status == "Stopping":
                going.signals.stop.set()
            going.signals.woken.set()

    async def recover(self) -> None:
        """Go on with the executions that a server left behind."""
        for execution in self._store.all(EXECUTION):
            if execution["PipelineExecutionStatus"] in RUNNING:
                self._begin(self._works.account.name("pipeline", execution["PipelineExecutionArn"]))

    async def stop(self) -> None:
        """Leave all executions as they are, for `recover`."""
        tasks = [going.task for going in self._going.values() if going.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._works.threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: str) -> None:
        going = self._going[key] = _Going()
        going.task = background.begin(self._run(key, going.signals), f"execution {key}")
        going.task.add_done_callback(lambda _: self._forget(key, going))

    def _forget(self, key: str, going: _Going) -> None:
        if self._going.get(key) is going:
            del self._going[key]

    async def _run(self, key: str, signals: Signals) -> None:
        try:
            await self._conduct(key, signals)
        except Exception as error:
            _log.exception("execution %s failed", key)
            await self._end(key, f"InternalServerError: {type(error).__name__}: {error}")
        else:
            await self._end(key)

    async def _conduct(self, key: str, signals: Signals) -> None:
        """Run the steps of an execution until none is left that can run."""
        execution = self._store.get(EXECUTION, key) or {}
        pipeline = self._pipelines.get(execution["PipelineName"])
        version = self._pipelines.version(pipeline, execution["PipelineVersionId"])
        definition = self._pipelines.parsed(version["PipelineDefinition"])
        if execution["PipelineExecutionStatus"] == "Stopping":
            signals.stop.set()
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for step in self._ready(key, definition, tasks):
                    run = StepRun(self._works, execution, definition, step, signals)
                    work = run.run(_HANDLERS[step.type])
                    tasks[step.name] = background.begin(work, f"step {step.name} of {key}")
                if not tasks:
                    break
                await self._next(signals, tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _ready(self, key: str, definition: Definition, running: Iterable[str]) -> list[Step]:
        """The steps that begin now, or go on."""
        execution = self._store.get(EXECUTION, key) or {}
        steps = self._steps(execution)
        left = [steps[name] for name in steps if steps[name]["StepStatus"] not in OVER and name not in running]
        going_on = [definition.steps[one["StepName"]] for one in left]
        failed = any(one["StepStatus"] in {"Failed", "Stopped"} for one in steps.values())
        if failed or execution["PipelineExecutionStatus"] != "Executing":
            return going_on
        config = execution.get("SelectiveExecutionConfig")
        wanted = {one["StepName"] for one in config["SelectedSteps"]} if config else definition.steps.keys()
        ready = [
            step
            for step in definition.steps.values()
            if step.name in wanted and step.name not in steps and step.name not in running and _may_begin(step, steps)
        ]
        most = execution.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps", _MOST_AT_ONCE)
        room = max(most - len(list(running)) - len(going_on), 0)
        return [*going_on, *ready[:room]]

    async def _next(self, signals: Signals, tasks: dict[str, asyncio.Task[None]]) -> None:
        """Wait until a step is over, or something was changed from outside."""
        woken = asyncio.ensure_future(signals.woken.wait())
        try:
            await asyncio.wait([*tasks.values(), woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        signals.woken.clear()
        for name in [name for name, task in tasks.items() if task.done()]:
            await tasks.pop(name)

    async def _end(self, key: str, failure: str = "") -> None:
        def end(execution: Document) -> None:
            now = self._works.account.now()
            statuses = {step["StepStatus"] for step in self._steps(execution).values()}
            if execution["PipelineExecutionStatus"] == "Stopping":
                execution["PipelineExecutionStatus"] = "Stopped"
            elif failure:
                execution.update(PipelineExecutionStatus="Failed", FailureReason=shortened(failure))
            elif statuses <= {"Succeeded"}:
                execution["PipelineExecutionStatus"] = "Succeeded"
            else:
                execution.update(PipelineExecutionStatus="Failed", FailureReason=_FAILED)
            execution.update(EndTime=now, LastModifiedTime=now)

        before = (self._store.get(EXECUTION, key) or {}).get("PipelineExecutionStatus", "")
        await self._store.persist(EXECUTION, key, end, self._works.retry_save)
        if execution := self._store.get(EXECUTION, key):
            await self._works.events.execution(execution, before)

    def _steps(self, execution: Document) -> dict[str, Document]:
        arn = execution["PipelineExecutionArn"]
        return {one["StepName"]: one for one in self._store.all(STEP) if one["PipelineExecutionArn"] == arn}


def _may_begin(step: Step, steps: dict[str, Document]) -> bool:
    """Whether all that a step needs has succeeded, and its branch is the one that was chosen."""
    if any(steps.get(name, {}).get("StepStatus") != "Succeeded" for name in step.needs):
        return False
    return step.branch is None or steps[step.branch[0]]["Properties"]["Outcome"] == str(step.branch[1]).lower()
