"""Scenarios run one after the other, their rows as a table, and as a file of JSON."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench import rows as rows_module
from bench.bed import BenchError
from bench.rows import Row

Scenario = Callable[[], list[Row]]
_MET = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}


def asked(words: list[str], scenarios: tuple[str, ...]) -> list[str]:
    """The scenarios that a command line names, in their own order; all when it names none.

    With `--quick` every one of them is only tried out.

    Raises:
        BenchError: It names one that is not there.
    """
    rows_module.quick = "--quick" in words
    wanted = [word for word in words if word != "--quick"]
    if unknown := [name for name in wanted if name not in scenarios]:
        raise BenchError(f"no scenario {', '.join(unknown)}; there are {', '.join(scenarios)}")
    return [name for name in scenarios if name in (wanted or scenarios)]


def measured(scenarios: Mapping[str, Scenario], console: Console) -> tuple[list[Row], list[str]]:
    """Run them in turn: the rows, and the names of those that could not be measured."""
    rows: list[Row] = []
    failed: list[str] = []
    for name, scenario in scenarios.items():
        console.print(f"measuring {name} ...")
        begun = time.monotonic()
        try:
            rows.extend(scenario())
        except BenchError as error:
            failed.append(name)
            console.print(f"{name} could not be measured: {error}", style="red", markup=False)
        console.print(f"measured {name} in {time.monotonic() - begun:.0f} s")
    return rows, failed


def told(rows: list[Row], failed: list[str], results: Path, console: Console) -> int:
    """Show the rows, and write them, unless they were only tried out; 0 when everything could be measured."""
    if rows_module.quick:
        console.print(f"{len(rows)} rows can be measured" if not failed else f"cannot be measured: {', '.join(failed)}")
        return 1 if failed else 0
    console.print(table(rows))
    console.print(machine())
    first = {"name": "machine", "value": machine(), "unit": "", "goal": None, "peer": None, "met": None}
    results.write_text(json.dumps([first, *(row.as_dict() for row in rows)], indent=1))
    console.print(f"written to {results}")
    return 1 if failed else 0


def table(rows: list[Row]) -> Table:
    """The rows as a person reads them."""
    shown = Table(title="bench", title_justify="left")
    for column in ("name", "value", "unit", "goal", "met", "beside it"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(row.name, f"{row.value:g}", row.unit, row.goal, _MET[row.met], row.peer)
    return shown


def machine() -> str:
    """What this machine is."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"
