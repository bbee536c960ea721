"""What the declared pipeline costs: to load the declaration, and to run it, beside training and evaluation itself."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import ROOT
from bench.rows import Row, sized
from modelstack.pipeline.build import build
from modelstack.pipeline.recipe import recipe

DECLARED = ("modelstack.pipeline.steps",)
"""What the Pulumi program loads to declare a pipeline, beside what it loads anyway."""
_ANYWAY = "modelstack.program.config.checkout"
_MODEL = ("train", "evaluate")
"""The steps that were there before there was an engine: what these take is the model's."""
_SMALL = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}
_TIME = """
import time
import {anyway}
begun = time.perf_counter()
import {modules}
print(time.perf_counter() - begun)
"""


def rows() -> list[Row]:
    """The cost of loading, and of a build."""
    with tempfile.TemporaryDirectory() as folder:
        before = _own()
        spent = _spent(Path(folder))
        engine = _own() - before
        again = _own()
        _spent(Path(folder))
        kept = _own() - again
    steps = {name: seconds for name, seconds in spent.items() if name not in _MODEL}
    each = ", ".join(f"{name} {seconds:.2f}" for name, seconds in steps.items())
    model = sum(spent[name] for name in _MODEL)
    peer = f"{each}, the engine itself {engine:.2f}; train and evaluate {model:.2f}; all of it kept: {kept:.2f}"
    return [
        Row("pipeline_import_ms", round(_import_ms(), 1), "ms", "<= 50", f"{', '.join(DECLARED)} after {_ANYWAY}"),
        Row("local_engine_cpu_s", round(sum(steps.values()) + engine, 2), "CPU s", "<= 1", peer),
    ]


def _spent(workdir: Path) -> dict[str, float]:
    """CPU seconds of the processes of each step of a build."""
    spent: defaultdict[str, float] = defaultdict(float)
    seen, at = "", _children()

    def progress(line: str) -> None:
        nonlocal seen, at
        step = line.partition(":")[0]
        if step != seen:  # the process of the one before has ended
            spent[seen] += _children() - at
            seen, at = step, _children()

    build(ROOT, recipe(ROOT, _SMALL), workdir=workdir, progress=progress)
    spent[seen] += _children() - at
    del spent[""]
    return dict(spent)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _import_ms() -> float:
    """Milliseconds, the median of fresh interpreters."""
    program = _TIME.format(anyway=_ANYWAY, modules=", ".join(DECLARED))
    command = [sys.executable, "-c", program]
    runs = [
        float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for _ in range(sized(7))
    ]
    return 1000 * statistics.median(runs)
