"""`make up`: starts the local cloud, updates stack `local`, and prints its state and the next commands."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import resolve
from modelstack.cli.view import render
from modelstack.cli.view.snapshot import Snapshot
from modelstack.cli.view.watching import Looks

STACK = "local"


class UpdateFailed(OperatorError):
    """`pulumi up` failed; its errors have been shown."""


def main() -> int:
    """Bring the local stack up; returns the exit code."""
    return run(_bring_up, stopped="`make up` goes on from here.")


def _bring_up(console: Console) -> int:
    try:
        stack = ensure(console)
    except UpdateFailed as error:
        return error.exit_code
    target = resolve(stack.name)
    seen = Looks(target)()
    console.print(render.snapshot(seen))
    _next(console, seen, target.outputs.get("metrics") or {})
    return 0


def ensure(console: Console, name: str = STACK, config: Path | None = None) -> Stack:
    """Start the local cloud, point this process's environment at it, and update a local stack.

    UpdateFailed if the update failed, with its errors shown; OperatorError for an earlier step.
    """
    began = time.monotonic()
    local = Local.here()
    url = local.start(console)
    console.print(f"local cloud: {url}")
    return update(console, replace(local.select(name), config=config), "up.log", began)


def update(console: Console, stack: Stack, log: str, began: float) -> Stack:
    """Run `pulumi up` and print a summary; UpdateFailed if it fails, with its errors shown."""
    outcome = Local.here().follow(console, stack, "up", log)
    if outcome.interrupted:
        raise outcome.interrupted
    if outcome.code:
        raise UpdateFailed("the update failed", exit_code=outcome.code)
    done = f"{outcome.changed} changed" if outcome.changed else "nothing to do"
    same, took = outcome.changes.get("same", 0), time.monotonic() - began
    console.print(f"  {done}, {same} as they were ({took:.0f} s)\n")
    return stack


def _next(console: Console, seen: Snapshot, metrics: Mapping[str, Any]) -> None:
    if metrics:
        shown = ((name, f"{value:.4g}" if isinstance(value, float) else value) for name, value in metrics.items())
        console.print("metrics  " + "  ".join(f"{name} {value}" for name, value in shown), markup=False)
    processes = "processes, by the image's entry point (`make image` builds a container)"
    runs = "containers" if any("@sha256:" in variant.image for variant in seen.variants) else processes
    console.print(f"\nVariants run as {runs}. Type next:")
    for command, what in (
        ('eval "$(make -s env)"', "point this shell at the stack; then pulumi, aws and modelstack work"),
        ("modelstack status", "what serves, alarms, packages"),
        ("modelstack replay --rate 25", "put the model's own events on the endpoint"),
        ("make demo", "a promotion and a rollback, under traffic"),
        ("make down", "destroy the stack and stop every process"),
    ):
        console.print(f"  {command:<50} {what}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
