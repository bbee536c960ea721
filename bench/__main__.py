"""`make bench`: run every scenario, those that need a stack on one bed, print the table, write bench/results.json.

python -m bench                  # everything
python -m bench lambdas no-op    # only these
python -m bench --quick          # every row once at a small size: whether all can be measured; nothing is judged
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import (
    alarms,
    concept,
    counting,
    dependent,
    drift,
    engines,
    fleet,
    flow,
    fresh,
    idle,
    invoke,
    journal,
    judge,
    lambdas,
    mirrored,
    outages,
    promotion,
    pull_request,
    results,
    robustness,
    rollouts,
    runtime,
    signatures,
    tampering,
    traces,
    updates,
)
from bench.bad_days import day
from bench.bed import Bed, BenchError, bed
from bench.rows import Row, sized
from demos.versions import as_good
from modelstack.cli.signals import interruptible
from modelstack.pipeline.build import shared

RESULTS = Path(__file__).parent / "results.json"

SIMULATED: dict[str, Callable[[], list[Row]]] = {
    "lambdas": lambdas.handlers,
    "runtime": runtime.rows,
    "pipeline": flow.rows,
    "new-project": fresh.rows,
    "upgrade": fresh.upgrade_rows,
    "engines": engines.rows,
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
    "robustness": lambda: robustness.rows(sized(robustness.TRIALS)),
    "tampering": tampering.rows,
}
# In order: the first update makes the stack that the others measure.
ON_STACK: dict[str, Callable[[Bed], list[Row]]] = {
    "first-up": updates.first_up,
    "no-op": updates.no_op_up,
    "preview": updates.preview,
    "policy": updates.policy_preview,
    "mlflow": mirrored.rows,
    "pr-report": pull_request.rows,
    "idle": idle.at_rest,
    "counting": counting.rows,
    "rollouts": rollouts.under_load,
    "promotion": promotion.rows,
    "trace": traces.rows,
}
SCENARIOS = (*SIMULATED, *ON_STACK)


def main(words: list[str]) -> int:
    """Measure; 0 when everything could be measured, whether or not the goals were met."""
    console = Console(highlight=False)
    try:
        names = results.asked(words, SCENARIOS)
    except BenchError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    rows, failed = results.measured({name: SIMULATED[name] for name in names if name in SIMULATED}, console)
    on_stack = [name for name in ON_STACK if name in names]
    if on_stack:
        more, others = _on_a_bed(["first-up", *(name for name in on_stack if name != "first-up")], console)
        rows, failed = rows + more, failed + others
    return results.told(rows, failed, RESULTS, console)


def _on_a_bed(names: list[str], console: Console) -> tuple[list[Row], list[str]]:
    with bed() as empty:
        made = replace(empty, stack=as_good(empty.stack, empty.folder, _was_trained))
        return results.measured({name: partial(ON_STACK[name], made) for name in names}, console)


def _was_trained(recipe: str) -> bool:
    """Whether an earlier run has left a package in the user's cache."""
    return (shared() / "packages" / recipe).exists()


if __name__ == "__main__":
    with interruptible():  # so that SIGTERM, too, stops the bed's local cloud
        sys.exit(main(sys.argv[1:]))
