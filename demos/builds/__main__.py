"""`make pipeline`: the model of this checkout, built by all three engines of the pipeline on this machine.

The local engine builds it. Then stack `local-pipeline` is brought up, whose pipeline of SageMaker builds it in the
local cloud. Then Kubeflow's own SDK builds it in containers. The digests of what each step made are put side by side.
The model is asked once, and that prediction is traced back to its data. MLflow shows the build.

python -m demos.builds                    # all engines
python -m demos.builds local kubeflow     # only these
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from demos.builds import digest_comparison, kubeflow_docker, local_build, not_serving, sagemaker_execution
from demos.builds.trace_check import traced
from modelstack.cli.error_handling import run, show_error
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.mlflow_server import MlflowServer, port_of
from modelstack.cli.local.stack import Stack
from modelstack.cli.local.up import ensure
from modelstack.cli.page import page
from modelstack.cli.target import Target, resolve
from modelstack.cli.trace.render import render
from modelstack.cli.view.releases import journal_state
from modelstack.pipeline.contract import RecipeError, Refusal
from modelstack.pipeline.recipe import Recipe, recipe
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.executions import short
from modelstack.platforms.aws.names import PIPELINE
from modelstack.records.lineage.graph import DIGITS

STACK = "local-pipeline"
LOCAL, SAGEMAKER, KUBEFLOW = "local", "sagemaker", "kubeflow"
ENGINES = (LOCAL, SAGEMAKER, KUBEFLOW)
MLFLOW = "modelstack:mlflow"
_EXECUTION = f"`pulumi up` of stack {STACK} waits for an execution in the local cloud"
_NEEDED = "its registry is where Kubeflow's steps register; an execution of its pipeline builds what serves"


@dataclass(frozen=True)
class Wanted:
    """What every engine builds.

    Attributes:
        recipe: Of the stack's model.
        gates: Metric -> `min` and/or `max`.
    """

    recipe: Recipe
    gates: Mapping[str, Any]

    @classmethod
    def of(cls, stack: Stack) -> Wanted:
        """That of a stack's file.

        Raises:
            OperatorError: The model cannot be built with it.
        """
        model = (stack.written().get("config") or {}).get("modelstack:model") or {}
        try:
            return cls(recipe(stack.root, stack.parameters()), model.get("gates") or {})
        except (RecipeError, Refusal) as error:
            raise OperatorError(f"the model of stack {stack.name}: {error}", exit_code=2) from None


@dataclass(frozen=True)
class Serving:
    """The stack, up.

    Attributes:
        stack: It.
        target: Its endpoint.
        built: The digest of the package that an execution of its pipeline has built.
    """

    stack: Stack
    target: Target
    built: str


def main(words: Sequence[str]) -> int:
    """Build with each engine; 0 when all that ran made the same package."""
    return run(partial(_build, tuple(words)), stopped="`make pipeline` goes on from here; Kubeflow's steps begin anew.")


def _build(words: tuple[str, ...], console: Console) -> int:
    if unknown := [name for name in words if name not in ENGINES]:
        raise OperatorError(f"{unknown[0]!r} is no engine: expected {', '.join(ENGINES)}", exit_code=2)
    names, wanted = words or ENGINES, Wanted.of(Stack(STACK))
    if KUBEFLOW in words:
        kubeflow_docker.engine()
    if set(names) != {LOCAL}:
        Local.of().require_free(STACK)
        port_of(os.environ)
    console.print(f"recipe {wanted.recipe.id}", markup=False)
    found: dict[str, Mapping[str, str]] = {}
    try:
        serving = _made(console, words, wanted, found)
    except OperatorError:
        if found:
            _title(console, "Made before the error", "what each step made, by digest")
            console.print(digest_comparison.table(found), markup=False)
        raise
    status = _compared(console, found)
    if serving is not None:
        _asked(console, serving)
    return status


def _made(
    console: Console, words: tuple[str, ...], wanted: Wanted, found: dict[str, Mapping[str, str]]
) -> Serving | None:
    """Build with each engine, and put its digests into `found`; gives what serves, unless only the local one is asked.

    Raises:
        OperatorError: An engine failed. What was found before is there.
    """
    names = words or ENGINES
    if LOCAL in names:
        _title(console, LOCAL, "each step a process of this machine")
        found[LOCAL] = local_build.digests(wanted.recipe, wanted.gates, partial(_step, console))
    if set(names) == {LOCAL}:
        return None
    _title(console, *((SAGEMAKER, _EXECUTION) if SAGEMAKER in names else (f"stack {STACK}", _NEEDED)))
    began = datetime.now(UTC)
    stack, target = _served(console)
    made = _executed(target, wanted.recipe)
    kept = made.ended < began
    _step(console, f"execution {short(made.arn)} {'built it: kept from an earlier update' if kept else 'has built it'}")
    if SAGEMAKER in names:
        found[SAGEMAKER] = made.digests
    if KUBEFLOW in names:
        _title(console, KUBEFLOW, "Kubeflow's own SDK runs each step in a container")
        try:
            found[KUBEFLOW] = _contained(console, stack, target, made.texts)
        except kubeflow_docker.NoEngine as error:
            if KUBEFLOW in words:
                raise
            show_error(console, error)
            console.print("The other engines are compared without it.", markup=False)
    return Serving(stack, target, made.digests[digest_comparison.PACKAGE])


def _executed(target: Target, wanted: Recipe) -> sagemaker_execution.Executed:
    try:
        return sagemaker_execution.executed(clients(target.region), target.endpoint, _folder(target), wanted)
    except sagemaker_execution.NoneExecuted as error:
        raise OperatorError(str(error), not_serving.why(journal_state(target), "", target.commands)) from None


def _asked(console: Console, serving: Serving) -> None:
    """Ask the model once, and show what its answer came from, and how to go on."""
    stack, target = serving.stack, serving.target
    _title(console, "One prediction", "which version gave it, and where that came from")
    answer = traced(target)
    page().print(render(answer, target.commands.modelstack))
    if answer.package and answer.package != serving.built:
        built = serving.built[: len("sha256:") + DIGITS]
        said = f"\nThis answer is not of what was built: package {built} does not serve."
        console.print(said, markup=False, style="yellow")
        console.print(not_serving.why(journal_state(target), serving.built, target.commands), markup=False)
    server = stack.written()["config"][MLFLOW]["server"]
    console.print(f"\nMLflow shows the build: {server}/#/models/{target.endpoint}", markup=False)
    console.print(f'To go on, type: eval "$(make -s env)"; {target.commands.modelstack} status', markup=False)
    if stack.config:
        up = shlex.join([*target.commands.pulumi_up.split(), *stack.options()])
        console.print(f"To update it by hand, name that copy, which `make pipeline` writes anew: {up}", markup=False)
    console.print("`make down` ends all of it.", markup=False)


def _served(console: Console) -> tuple[Stack, Target]:
    """The stack, brought up, and its endpoint."""
    local = Local.here()
    address = MlflowServer.here(local.places).start(port_of(os.environ))
    console.print(f"MLflow: {address}", markup=False)
    config = shown_in(Stack(STACK), address, local.places.state)
    if config:
        console.print(f"The stack's file names another address: {config} is taken in its place.", markup=False)
    stack = ensure(console, STACK, config)
    return stack, resolve(STACK)


def shown_in(stack: Stack, address: str, folder: Path) -> Path | None:
    """A copy of the stack's file that names another MLflow server; None where it names this one."""
    content = stack.written()
    if content["config"][MLFLOW]["server"] == address:
        return None
    content["config"][MLFLOW]["server"] = address
    copy = folder / f"Pulumi.{stack.name}.yaml"
    copy.write_text(yaml.safe_dump(content, sort_keys=False))
    return copy


def _contained(console: Console, stack: Stack, target: Target, texts: Mapping[str, str]) -> dict[str, str]:
    image = kubeflow_docker.image_of(target.output("container_repository"), console)
    return kubeflow_docker.digests(stack, image, texts, kubeflow_docker.keys(os.environ), partial(_step, console))


def _compared(console: Console, found: Mapping[str, Mapping[str, str]]) -> int:
    """Show the digests side by side; 0 when every engine made the same package."""
    _title(console, "Side by side", "what each step made, by digest")
    console.print(digest_comparison.table(found), markup=False)
    same, differ = digest_comparison.agreed(found), digest_comparison.other(found)
    console.print(
        f"\n{same} of {len(found)} made {next(iter(found.values()))[digest_comparison.PACKAGE]}", markup=False
    )
    if differ:
        console.print(f"The engines differ in what {', '.join(differ)} made.", markup=False, style="red")
    return 0 if not differ and same == len(found) else 1


def _folder(target: Target) -> str:
    return f"s3://{target.output('artifact_bucket')}/{PIPELINE}"


def _step(console: Console, line: str) -> None:
    console.print(f"  {line}", markup=False)


def _title(console: Console, name: str, what: str) -> None:
    console.print(f"\n[bold]{name}[/bold]", end=": ")
    console.print(what, markup=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
