"""`make bench`: run every scenario, those that need a stack on one bed, print the table, write bench/results.json.

python -m bench                  # everything
python -m bench lambdas no-op    # only these
python -m bench --quick          # every row once at a small size: whether all can be measured; nothing is judged
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench import (
    alarms,
    concept,
    counting,
    dependent,
    drift,
    fleet,
    idle,
    invoke,
    journal,
    judge,
    lambdas,
    outages,
    promotion,
    pull_request,
    rollouts,
    runtime,
    signatures,
    tampering,
    updates,
)
from bench import rows as rows_module
from bench.bad_days import day
from bench.bed import Bed, BenchError, bed
from bench.rows import Row, sized
from cli.local.versions import as_good
from cli.target import ROOT
from pipeline.build import shared

RESULTS = Path(__file__).parent / "results.json"

SIMULATED: dict[str, Callable[[], list[Row]]] = {
    "lambdas": lambdas.handlers,
    "runtime": runtime.rows,
    "provenance": signatures.rows,
    "journal": journal.rows,
    "invoke": invoke.rows,
    "judge": judge.rows,
    "alarms": lambda: alarms.rows(sized(alarms.TRIALS)),
    "drift": drift.rows,
    "concept": concept.rows,
    "dependent": lambda: dependent.rows(sized(dependent.RUNS)),
    "fleet": lambda: fleet.rows(sized(fleet.RUNS)),
    "outages": lambda: outages.rows(sized(outages.TRIALS)),
    "bad-days": lambda: day.rows(sized(day.SEEDS)),
    "tampering": tampering.rows,
}
# In order: the first update makes the stack that the others measure.
ON_STACK: dict[str, Callable[[Bed], list[Row]]] = {
    "first-up": updates.first_up,
    "no-op": updates.no_op_up,
    "preview": updates.preview,
    "policy": updates.policy_preview,
    "pr-report": pull_request.rows,
    "idle": idle.at_rest,
    "counting": counting.rows,
    "rollouts": rollouts.under_load,
    "promotion": promotion.rows,
}
SCENARIOS = (*SIMULATED, *ON_STACK)


def main(wanted: list[str]) -> int:
    """Measure; 0 when everything could be measured, whether or not the goals were met."""
    console = Console(highlight=False)
    rows_module.quick = "--quick" in wanted
    wanted = [name for name in wanted if name != "--quick"]
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        console.print(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}", style="red")
        return 2
    names = set(wanted or SCENARIOS)
    if names & ON_STACK.keys():
        names.add("first-up")
    rows, failed = _run([name for name in SCENARIOS if name in names], console)
    if rows_module.quick:
        console.print(f"{len(rows)} rows can be measured" if not failed else f"cannot be measured: {', '.join(failed)}")
        return 1 if failed else 0
    console.print(_table(rows))
    console.print(_machine())
    machine = {"name": "machine", "value": _machine(), "unit": "", "goal": None, "peer": None, "met": None}
    RESULTS.write_text(json.dumps([machine, *(row.as_dict() for row in rows)], indent=1))
    console.print(f"written to {RESULTS}")
    return 1 if failed else 0


def _run(names: list[str], console: Console) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failed: list[str] = []

    def measure(name: str, scenario: Callable[[], list[Row]]) -> None:
        console.print(f"measuring {name} ...")
        try:
            rows.extend(scenario())
        except BenchError as error:
            failed.append(name)
            console.print(f"{name} could not be measured: {error}", style="red", markup=False)

    for name in names:
        if name in SIMULATED:
            measure(name, SIMULATED[name])
    on_stack = [name for name in names if name in ON_STACK]
    if on_stack:
        with bed() as empty:
            made = replace(empty, stack=as_good(empty.stack, empty.folder, _was_trained))
            for name in on_stack:
                measure(name, partial(ON_STACK[name], made))
    return rows, failed


def _was_trained(recipe: str) -> bool:
    """Whether an earlier run has left a package in the user's cache."""
    return (shared(ROOT) / "packages" / recipe).exists()


def _table(rows: list[Row]) -> Table:
    table = Table(title="bench", title_justify="left")
    for column in ("name", "value", "unit", "goal", "met", "beside it"):
        table.add_column(column, overflow="fold")
    for row in rows:
        met = "[green]yes[/]" if row.met else "[red]no[/]"
        table.add_row(row.name, f"{row.value:g}", row.unit, row.goal, met, row.peer)
    return table


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
