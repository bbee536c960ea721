"""`make up-kubernetes`: starts a cluster, updates stack `local-kubernetes` in it, and prints the next commands."""

from __future__ import annotations

import sys
import time

from rich.console import Console

from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.cluster import Cluster
from modelstack.cli.local.cluster_image import published
from modelstack.cli.local.stack import Stack
from modelstack.cli.local.up import UpdateFailed, update
from modelstack.cli.target import resolve
from modelstack.cli.view import render
from modelstack.cli.view.watching import Looks
from modelstack.rollout.core.errors import RolloutError

STACK = "local-kubernetes"


def main() -> int:
    """Bring the stack up; returns the exit code."""
    return run(_bring_up, stopped="`make up-kubernetes` goes on from here.")


def _bring_up(console: Console) -> int:
    try:
        stack = ensure(console)
    except UpdateFailed as error:
        return error.exit_code
    console.print(render.snapshot(Looks(resolve(stack.name))()))
    console.print("\nVariants run as pods. Type next:")
    for command, what in (
        ('eval "$(make -s env)"', "point this shell at the stack; then pulumi, kubectl and modelstack work"),
        (f"modelstack --stack {STACK} status", "what serves, alarms, packages"),
        ("kubectl -n models get rollouts,httproutes,pods", "the same as Kubernetes has it"),
        ("make demo-kubernetes", "a promotion and a rollback, under traffic"),
        ("make down", "destroy the stacks, and end the cluster and every process"),
    ):
        console.print(f"  {command:<50} {what}", markup=False)
    return 0


def ensure(console: Console) -> Stack:
    """Start the cluster, point this process's environment at it, and update the stack; raises as `up.ensure`."""
    began = time.monotonic()
    return update(console, prepared(console), "up-kubernetes.log", began)


def prepared(console: Console) -> Stack:
    """Start the cluster, push the images, and create the prerequisites of the stack; OperatorError if a step fails."""
    cluster, local = Cluster.here(), Local.here()
    cluster.start()
    stack = local.select(STACK)
    section = stack.written()["config"]["modelstack:kubernetes"]
    published(section["registry"], console.print)
    try:
        cluster.prepare(section)
    except RolloutError as error:
        raise OperatorError(str(error)) from error
    return stack


if __name__ == "__main__":
    sys.exit(main())
