"""The package of a recipe, made by an execution of the stack's pipeline in SageMaker, while an update waits for it.

An execution has the name of the recipe. One that is under way, since an update was killed, is followed and not begun
again. SageMaker lets a job of an earlier execution stand for one of the same inputs. If what that one left was changed
or deleted since, another execution builds anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.providers.progress import Progress
from infra.providers.stopping import stopping
from pipeline.gate import refusal
from pipeline.origin import source
from pipeline.recipe import Recipe, canonical, model_files
from platforms.aws import executions
from platforms.aws.clients import Clients
from platforms.aws.executions import ExecutionRequest, ExecutionStatus, StepSeen
from rollout.core.errors import Busy, RolloutError, Unreachable

PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
"""How long SageMaker may not answer while an execution is followed."""
_OTHER_IMAGE = (
    ". If it found another recipe: the image that trains has other libraries or data than this checkout. `make image` "
    "builds it anew"
)
_TOO_LONG = "MaxRuntimeExceeded"
"""What SageMaker calls a job that ran longer than it may."""
CODE = "code"
"""The folder of that of the pipeline with the model's code, by its digest."""
Values = Mapping[str, Any]


class ExecutionFailed(RolloutError):
    """An execution came to no package; the message names the step, and says why."""


class Spoiled(ExecutionFailed):
    """What a job of an earlier execution left, and stood for one of this, was changed or deleted.

    Attributes:
        execution: The id of the execution that met it.
    """

    def __init__(self, execution: str, why: str) -> None:
        super().__init__(why)
        self.execution = execution


def asked(props: Values, root: Path, recipe: Recipe, clients: Clients, *, instead: str = "") -> ExecutionRequest:
    """The execution that makes the package of a recipe; the model's code is put where its jobs find it.

    Args:
        props: The inputs of the package's resource.
        root: The checkout.
        recipe: What it makes.
        clients: Gives clients.
        instead: The id of an execution instead of which this one is to build anew. SageMaker knows a job by the address
            of the code, so no earlier job stands for one with this in its address.
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
    """Have an execution make the package, and return what it registered; see `pipeline.pack.Registered`.

    Args:
        ask: Gives what is asked for, instead of the execution of an id; of none at first.
        clients: Gives clients.
        progress: Tells how it goes, and that it is stopped.

    Raises:
        ExecutionFailed: It failed or was stopped; nothing was registered.
        GateRefused: The gates refused the model.
        RolloutError: SageMaker does not answer.
    """
    try:
        return _made(ask(""), clients, progress)
    except Spoiled as error:
        progress(f"{error}. Building anew", at_once=True)
        return _made(ask(error.execution), clients, progress)


def _made(wanted: ExecutionRequest, clients: Clients, progress: Progress) -> dict[str, Any]:
    """Begin the execution, wait for its end, and return what it registered.

    An update that is cancelled stops it, and says so at once: of a program that is cancelled no error is shown.

    Raises:
        Spoiled: What an earlier job left for it is not as it was made.
        ExecutionFailed: It failed or was stopped; nothing was registered.
        GateRefused: The gates refused the model.
        RolloutError: SageMaker does not answer.
    """
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
    """Stop an execution, and say at which step it was."""
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
    """Follow an execution to its end, or until the update is cancelled; its steps are told as they go.

    Raises:
        ExecutionFailed: SageMaker has not answered for a while. The execution goes on.
    """
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
    """What an execution is at: its step, for how long, and the last line that this printed."""
    step = _running(seen)
    if step is None:
        return f"{_named(seen.arn)}: {seen.status.lower()}"
    since = f", {(datetime.now(UTC) - step.began).total_seconds():.0f} s" if step.began else ""
    lines = executions.last_lines(clients, step, 1)
    said = f": {lines[-1]}" if lines else ", its job starts"
    return f"step {step.name} of {_named(seen.arn)}{since}{said}"


def _running(seen: ExecutionStatus) -> StepSeen | None:
    """The step that an execution is at."""
    running = [step for step in seen.steps if step.status in {"Starting", "Executing", "Stopping"}]
    return running[-1] if running else None


def _why(seen: ExecutionStatus, wanted: ExecutionRequest, clients: Clients) -> Exception:
    """Why an execution that has ended has registered nothing."""
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
    """Why a job failed that could not say so itself, as where it was ended: SageMaker's words and its last lines."""
    reason = step.why or seen.why or "no reason is given"
    if _TOO_LONG in reason:
        reason += " A job may take modelstack:retraining.max_minutes"
    last = "".join(f"\n    {line}" for line in executions.last_lines(clients, step))
    return reason + (f"\n  its last lines:{last}" if last else "")


def _named(arn: str) -> str:
    return f"execution {executions.short(arn)}"


def _code(folder: str, root: Path, recipe: Recipe, clients: Clients, instead: str) -> str:
    """The URI of the model's code, which is put there file by file: SageMaker lays it out as it lies here."""
    uri = "/".join((folder, CODE, *([f"instead-of-{instead}"] if instead else []), recipe.parts["code"]))
    for name, path in model_files(root).items():
        executions.put(clients, f"{uri}/{name}", path.read_bytes())
    return uri
