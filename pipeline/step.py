"""Run one step of the model's own code in a process of its own.

The process has the checkout's code first on its path, a fixed hash seed, one thread, and arithmetic that each x86-64
processor with AVX2 does alike, so that the outcome depends on nothing of the caller. A failure in the model's code
cannot take the caller along, and its memory is given back.

A step is a module with `main`: `python -m pipeline.train --parameters JSON --out FOLDER`. It prints progress, line by
line, and writes files into `--out`. It ends when the process that started it ends. What it refuses it says in words,
without a traceback.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.contract import Refusal

REFUSED = 4  # the status of a step that has said why, as a JSON string in its last line
STARTED_BY_PIPE = "MODELSTACK_STEP_PARENT_PIPE"
YIELDING = 5
"""How nice a step is at least."""
_CPU = Path("/proc/cpuinfo")
_ALIKE = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}
"""OpenBLAS and NumPy choose their code by the processor, and sums come out otherwise: here by what all have, AVX2."""


class StepFailed(Exception):
    """A step refused or raised; the message says why or, of an exception, where in the model's code it came from."""


def run(root: Path, module: str, arguments: Sequence[str], progress: Callable[[str], None]) -> None:
    """Run a step to its end.

    Args:
        root: The checkout whose `model` and `pipeline` run.
        module: The step, such as `pipeline.train`.
        arguments: Its command line.
        progress: Called with each line that the step prints.

    Raises:
        StepFailed: It ended with another status than 0.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **(_ALIKE if _has_avx2() else {}),
        STARTED_BY_PIPE: "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        stderr: list[str] = []
        reader = threading.Thread(target=lambda: stderr.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            for line in process.stdout or ():
                progress(line.rstrip("\n"))
            process.wait()
        except BaseException:
            process.terminate()
            raise
        reader.join()
    if process.returncode:
        raise StepFailed(_explain(module, process.returncode, stderr))


def _has_avx2() -> bool:
    return platform.machine() == "x86_64" and _CPU.exists() and " avx2 " in _CPU.read_text()


def in_words(main: Callable[[], None]) -> None:
    """Run the `main` of a step as a command."""
    try:
        main()
    except Refusal as error:
        print(json.dumps(str(error)), file=sys.stderr, flush=True)
        sys.exit(REFUSED)


def end_with_parent() -> None:
    """Called by a step: end this process when the one that started it is gone, however it ended; yield to others."""
    if os.environ.get(STARTED_BY_PIPE) != "1":
        return
    os.nice(max(0, YIELDING - os.nice(0)))  # what serves on the same machine comes first

    def watch() -> None:
        # Not through sys.stdin: its lock, held here for good, would stop the interpreter from shutting down.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _explain(module: str, status: int, stderr: Sequence[str]) -> str:
    name = module.rpartition(".")[2]
    lines = [line.rstrip() for line in stderr if line.strip()]
    if not lines:
        return f"{name} ended with status {status} and said nothing" + (" (killed)" if status < 0 else "")
    if status == REFUSED:
        return json.loads(lines[-1])
    places = [line.strip() for line in lines if line.lstrip().startswith("File ") and "/model/" in line]
    return f"{name} failed: {lines[-1]}" + (f"\n  {places[-1]}" if places else "")
