"""The package of a recipe, built by an execution of the stack's SageMaker pipeline.

An execution is named after its recipe. One that a killed update left running is followed and not started again.
SageMaker reuses a job of an earlier execution with the same inputs. If that job's output was changed or deleted
since, another execution rebuilds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstack.pipeline.gate import refusal
from modelstack.pipeline.origin import source
from modelstack.pipeline.recipe import Recipe, canonical, model_files
from modelstack.platforms.aws import executions
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.executions import ExecutionRequest, ExecutionStatus, StepSeen
from modelstack.program.providers.progress import Progress
from modelstack.program.providers.stopping import stopping
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
"""How long SageMaker may not respond while an execution is followed."""
_OTHER_IMAGE = (
    ". If it found another recipe: the image that trains has other libraries or data than this checkout. `make image` "
    "builds it anew"
)
_TOO_LONG = "MaxRuntimeExceeded"
"""SageMaker's reason for a job that exceeded its time limit."""
CODE = "code"
"""The pipeline's subfolder of the model's code, which is stored by digest."""
Values = Mapping[str, Any]


class ExecutionFailed(RolloutError):
    """An execution made no package; the message names the step and the reason."""


class Spoiled(ExecutionFailed):
    """The reused output of an earlier job was changed or deleted; `execution` is the id of the one that found it."""

    def __init__(self, execution: str, why: str) -> None:
        super().__init__(why)
        self.execution = execution


def asked(props: Values, root: Path, recipe: Recipe, clients: Clients, *, instead: str = "") -> ExecutionRequest:
    """The execution that builds the package of a recipe. Uploads the model's code for its jobs.

    `instead` is the id of an execution to replace. As part of the code's address, by which SageMaker identifies a job,
    it prevents the reuse of an earlier job.
    """
    pipeline, gates = props["pipeline"], canonical(props["gates"])
    place = {name: props[name] for name in ("region", "bucket", "group", "signing_key", "image_uri")}
    texts = {
        "parameters": recipe.parts["parameters"],
        "recipe": recipe.digest,
        "source": canonical(asdict(source(root))),
        "gates": gates,
        "place": canonical({"platform": "aws", **place}),
    }
    return ExecutionRequest(
        pipeline["pipeline"],
        pipeline["folder"],
        executions.name_of(recipe.digest),
        folders={"code": _code(pipeline["folder"], root, recipe, clients, instead), "champion": ""},
        texts=texts,
        takes=pipeline["takes"],
        says=f"recipe {recipe.digest}, parameters {recipe.parts['parameters']}, gates {gates}",
    )


def made(ask: Callable[[str], ExecutionRequest], clients: Clients, progress: Progress) -> dict[str, Any]:
    """Build the package by an execution, and return what it registered; see `modelstack.pipeline.pack.Registered`.

    `ask` makes the request, given the id of the execution to replace; empty at first.

    Raises:
        ExecutionFailed: It failed or was stopped; nothing was registered.
        GateRefused: The gates refused the model.
    """
    try:
        return _made(ask(""), clients, progress)
    except Spoiled as error:
        progress(f"{error}. Building anew", at_once=True)
        return _made(ask(error.execution), clients, progress)


def _made(wanted: ExecutionRequest, clients: Clients, progress: Progress) -> dict[str, Any]:
    """A cancelled update stops the execution and reports so at once: Pulumi shows no error of a cancelled program."""
    arn = executions.begin(clients, wanted)
    with stopping(lambda: _stop(arn, clients, progress)) as cancelled:
        seen = followed(arn, clients, progress, cancelled.is_set)
    if cancelled.is_set():
        raise ExecutionFailed(f"the update was cancelled, and {_named(arn)} with it: nothing was registered")
    if seen.status == "Succeeded":
        found = executions.outcome(clients, wanted.folder, seen, "release", "register/registered.json")
        if found is not None:
            return found
    raise _why(seen, wanted, clients)


def _stop(arn: str, clients: Clients, progress: Progress) -> None:
    try:
        executions.stop(clients, arn)
    except RolloutError as error:
        progress.note(f"the update is cancelled, and {_named(arn)} may go on: {error}")
        return
    step = None
    with suppress(RolloutError):
        step = _running(executions.look(clients, arn))
    progress.note(f"the update is cancelled: {_named(arn)} is being stopped{f' at step {step.name}' if step else ''}")


def followed(
    arn: str,
    clients: Clients,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    *,
    pause: Callable[[float], object] = time.sleep,
) -> ExecutionStatus:
    """Follow an execution to its end or the update's cancellation. ExecutionFailed: SageMaker stopped responding."""
    silent: float | None = None
    while True:
        try:
            seen = executions.look(clients, arn)
        except (Busy, Unreachable) as error:
            silent = silent or time.monotonic()
            if time.monotonic() - silent > PATIENCE_SECONDS:
                raise ExecutionFailed(
                    f"{_named(arn)} is not known to go on or to have ended: {error}. Run the update again: it follows "
                    "the execution"
                ) from None
        else:
            silent = None
            if not seen.under_way or cancelled():
                return seen
            progress(_doing(seen, clients))
        pause(PAUSE_SECONDS)


def _doing(seen: ExecutionStatus, clients: Clients) -> str:
    step = _running(seen)
    if step is None:
        return f"{_named(seen.arn)}: {seen.status.lower()}"
    since = f", {(datetime.now(UTC) - step.began).total_seconds():.0f} s" if step.began else ""
    lines = executions.last_lines(clients, step, 1)
    said = f": {lines[-1]}" if lines else ", its job starts"
    return f"step {step.name} of {_named(seen.arn)}{since}{said}"


def _running(seen: ExecutionStatus) -> StepSeen | None:
    running = [step for step in seen.steps if step.status in {"Starting", "Executing", "Stopping"}]
    return running[-1] if running else None


def _why(seen: ExecutionStatus, wanted: ExecutionRequest, clients: Clients) -> Exception:
    verdict = executions.outcome(clients, wanted.folder, seen, "check", "gate/verdict.json") or {"passed": True}
    if not verdict["passed"]:
        metrics = {miss["metric"]: miss["value"] for miss in verdict["misses"]}
        return refusal(verdict, metrics) or ExecutionFailed(verdict["why"])
    failed = seen.failed
    if failed is None:
        how = (
            "was stopped" if seen.status == "Stopped" else f"ended as {seen.status}: {seen.why or 'no reason is given'}"
        )
        return ExecutionFailed(
            f"{_named(seen.arn)} {how}; nothing was registered. Run the update again to begin another"
        )
    if refused := executions.refusal(clients, wanted.folder, failed):
        if refused.spoiled and any(step.cached for step in seen.steps):
            return Spoiled(executions.short(seen.arn), refused.why)
        hint = _OTHER_IMAGE if refused.step == "data" else ""
        return ExecutionFailed(f"{refused.why}{hint} (step {failed.name} of {_named(seen.arn)})")
    if not failed.job and (lost := executions.gone(clients, wanted.folder, seen)):
        return Spoiled(executions.short(seen.arn), f"what an earlier job left is gone: nothing lies at {lost}")
    why = executions.failure(clients, wanted.folder, failed) or _by_sagemaker(seen, failed, clients)
    return ExecutionFailed(f"step {failed.name} of {_named(seen.arn)} failed: {why}")


def _by_sagemaker(seen: ExecutionStatus, step: StepSeen, clients: Clients) -> str:
    reason = step.why or seen.why or "no reason is given"
    if _TOO_LONG in reason:
        reason += " A job may take modelstack:retraining.max_minutes"
    last = "".join(f"\n    {line}" for line in executions.last_lines(clients, step))
    return reason + (f"\n  its last lines:{last}" if last else "")


def _named(arn: str) -> str:
    return f"execution {executions.short(arn)}"


def _code(folder: str, root: Path, recipe: Recipe, clients: Clients, instead: str) -> str:
    """Files are uploaded one by one, because SageMaker keeps their layout."""
    uri = "/".join((folder, CODE, *([f"instead-of-{instead}"] if instead else []), recipe.parts["code"]))
    for name, path in model_files(root).items():
        executions.put(clients, f"{uri}/{name}", path.read_bytes())
    return uri
