"""`make bench-kubernetes`: run every scenario in a namespace of this checkout's cluster, which is started if need be.

python -m bench.kubernetes                   # everything; the table is written to bench/kubernetes.json, too
python -m bench.kubernetes shifts rollback   # only these
python -m bench.kubernetes --quick           # every row once at a small size: whether all can be measured
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import results
from bench.bed import BenchError
from bench.kubernetes import fleet, lost, no_change, rollback, shifts
from bench.kubernetes.place import Place, place
from bench.kubernetes.served import Served, served
from bench.results import Scenario
from bench.rows import Row
from modelstack.cli.errors import OperatorError

RESULTS = Path(__file__).parents[1] / "kubernetes.json"

BY_ITSELF: dict[str, Callable[[Place], list[Row]]] = {
    "shifts": shifts.rows,
}
# In order: what is measured on a stack that is at rest comes first.
ON_STACK: dict[str, Callable[[Served], list[Row]]] = {
    "no-op": no_change.rows,
    "fleet": fleet.rows,
    "rollback": rollback.rows,
    "lost": lost.rows,
}


def main(words: list[str]) -> int:
    """Measure; 0 when everything could be measured, whether or not the goals were met."""
    console = Console(highlight=False)
    try:
        names = results.asked(words, (*BY_ITSELF, *ON_STACK))
        rows, failed = _measured(names, console)
    except (BenchError, OperatorError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    return results.told(rows, failed, RESULTS, console)


def _measured(names: list[str], console: Console) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        if name in BY_ITSELF:
            with place() as alone:
                more, others = results.measured({name: _under_load(partial(BY_ITSELF[name], alone))}, console)
                rows, failed = rows + more, failed + others
    on_stack = [name for name in names if name in ON_STACK]
    if on_stack:
        with place() as one, served(one) as stack:
            scenarios = {name: _under_load(partial(ON_STACK[name], stack)) for name in on_stack}
            more, others = results.measured(scenarios, console)
            rows, failed = rows + more, failed + others
    return rows, failed


def _under_load(scenario: Scenario) -> Scenario:
    """The scenario, whose rows tell how busy the machine was."""

    def run() -> list[Row]:
        rows = scenario()
        return [replace(row, peer=f"{row.peer}; load average {os.getloadavg()[0]:.0f}") for row in rows]

    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
