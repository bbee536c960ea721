"""`make down`: destroys the local stacks, stops their processes, and deletes the local cloud's data."""

from __future__ import annotations

import sys

from rich.console import Console

from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.local import mlflow_server
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.cluster import on_cluster


def main() -> int:
    """Take everything down; 0 when nothing is left."""
    return run(_take_down, stopped="`make down` goes on from here.")


def _take_down(console: Console) -> int:
    local = Local.here()
    try:
        code = _destroy_all(console, local)
    finally:
        local.stop()
        console.print("local cloud: stopped")
        if mlflow_server.stop(local.places.state / "mlflow"):
            console.print("MLflow: stopped; what it knows stays in .modelstack/mlflow")
    if code == 0:
        local.forget()  # what is left in it belongs to nothing
    return code


def _destroy_all(console: Console, local: Local) -> int:
    # Stacks that take releases from others come first: by their names they come after them, such as local-2-staging.
    names = sorted(local.stack_names(), reverse=True)
    for name in [name for name in names if on_cluster(local.stack(name))]:
        names.remove(name)
        _forget(local, name)
    if names:
        local.start(console)
    for name in names:
        if code := destroy(console, local, name):
            return code
    return 0


def _forget(local: Local, name: str) -> None:
    """Remove a stack whose cluster is deleted with everything in it."""
    removed = local.stack(name).pulumi("stack", "rm", "--yes", "--force", "--preserve-config", "--stack", name)
    if removed.code:
        raise OperatorError(f"stack {name} cannot be removed: {removed.error}")


def destroy(console: Console, local: Local, name: str) -> int:
    """Destroy and remove a stack of a running local cloud; returns Pulumi's exit code."""
    stack = local.stack(name)
    outcome = local.follow(console, stack, "destroy", "down.log")
    if outcome.code or outcome.interrupted:
        console.print(f"stack {name} is not destroyed; its cloud's data stay, and `make down` tries again")
        if outcome.interrupted:
            raise outcome.interrupted
        return outcome.code
    removed = stack.pulumi("stack", "rm", "--yes", "--preserve-config", "--stack", name)
    if removed.code:
        raise OperatorError(f"stack {name} was destroyed, but cannot be removed: {removed.error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
