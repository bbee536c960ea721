"""Runs a program that uses the model's own code, such as a step of the pipeline, in its own process.

The process has the checkout and this library first on its path, a fixed hash seed, one thread, and arithmetic that is
the same on each x86-64 processor with AVX2, so the outcome depends on nothing of the caller. A failure does not affect
the caller.

A program is a module: `python -m modelstack.pipeline.answered --parameters JSON --out FILE`. It prints progress line by
line and writes files. It ends when its parent ends. A refusal is a message, without a traceback.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.project import SOURCES

REFUSED = 4  # exit status of a refusal, whose reason is a JSON string in the last line of stderr
STARTED_BY_PIPE = "MODELSTACK_STEP_PARENT_PIPE"
YIELDING = 5
"""Minimum niceness of a step."""
LAST_LINES = 5
"""Number of output lines in the message of a failure."""
_CPU = Path("/proc/cpuinfo")
_ALIKE = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}
"""OpenBLAS and NumPy choose their code by the processor, which changes sums: pinned to AVX2, which all have."""


class StepFailed(Exception):
    """A step refused or failed; the message names it, and says why. A retry of a refusal would refuse again."""

    def __init__(self, step: str, why: str, *, refused: bool = False, last: Sequence[str] = ()) -> None:
        lines = "".join(f"\n    {line}" for line in last)
        super().__init__(f"{step} {why}" + (f"\n  its last lines:{lines}" if lines else ""))
        self.step = step
        self.refused = refused


def alike() -> dict[str, str]:
    """The variables with which a step gives the same bytes on every machine."""
    fixed = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    avx2 = platform.machine() == "x86_64" and _CPU.exists() and " avx2 " in _CPU.read_text()
    return {**fixed, **(_ALIKE if avx2 else {})}


def run(
    root: Path,
    module: str,
    arguments: Sequence[str],
    progress: Callable[[str], None],
    *,
    name: str | None = None,
    timeout: float | None = None,
) -> None:
    """Run a program (a module such as `modelstack.pipeline.answered`) of the checkout `root` to its end.

    `progress` gets each line that it prints; `name` replaces the module's last part in error messages; `timeout` is in
    seconds. Raises StepFailed if the status is not 0, or after the timeout.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env={**os.environ, **alike(), "PYTHONPATH": os.pathsep.join(map(str, (root, SOURCES))), STARTED_BY_PIPE: "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    )
    said: deque[str] = deque(maxlen=LAST_LINES)
    stderr: list[str] = []
    with process, _limited(process, timeout) as late:
        reader = threading.Thread(target=lambda: stderr.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            for line in process.stdout or ():
                said.append(line.rstrip("\n"))
                progress(said[-1])
            process.wait()
        except BaseException:
            _end(process, signal.SIGTERM)
            raise
        reader.join()
    called = name or module.rpartition(".")[2]
    if timeout is not None and late.is_set():
        last = [*said, *_lines(stderr)][-LAST_LINES:]
        raise StepFailed(called, f"took longer than {timeout:,g} s, its time limit, and was ended", last=last)
    if process.returncode:
        raise _explained(called, process.returncode, _lines(stderr), said)


@contextmanager
def _limited(process: subprocess.Popen[str], timeout: float | None) -> Generator[threading.Event]:
    """Kill a process and its children after a timeout. The event tells whether that happened."""
    late = threading.Event()
    if timeout is None:
        yield late
        return

    def end() -> None:
        late.set()
        _end(process, signal.SIGKILL)

    clock = threading.Timer(timeout, end)
    clock.daemon = True
    clock.start()
    try:
        yield late
    finally:
        clock.cancel()


def _end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)


def in_words(main: Callable[[], None]) -> None:
    """Run the `main` of a program as a command."""
    try:
        main()
    except Refusal as error:
        refuse(error)


def refuse(why: Exception) -> None:
    """End this process with the status and the last line of a refusal."""
    print(json.dumps(str(why)), file=sys.stderr, flush=True)
    sys.exit(REFUSED)


def end_with_parent() -> None:
    """Called by a step: end this process when its parent ends in any way, and lower its priority."""
    if os.environ.get(STARTED_BY_PIPE) != "1":
        return
    os.nice(max(0, YIELDING - os.nice(0)))  # serving on the same machine has priority

    def watch() -> None:
        # Not sys.stdin: its lock, held here forever, would keep the interpreter from shutting down.
        while os.read(0, 1):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with its children
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lines(stderr: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in stderr if line.strip()]


def _explained(name: str, status: int, stderr: Sequence[str], said: Sequence[str]) -> StepFailed:
    if status < 0:
        memory = ": the machine may have too little memory" if -status == signal.SIGKILL else ""
        why = f"was ended by signal {-status} ({signal.strsignal(-status)}){memory}"
        return StepFailed(name, why, last=[*said, *stderr][-LAST_LINES:])
    if status == REFUSED and (reason := _reason(stderr)) is not None:
        return StepFailed(name, f"refused: {reason}", refused=True)
    if not stderr:
        return StepFailed(name, f"ended with status {status} and said nothing", last=said)
    places = [line.strip() for line in stderr if line.lstrip().startswith("File ") and "/model/" in line]
    return StepFailed(name, f"failed: {stderr[-1]}" + (f"\n  {places[-1]}" if places else ""), last=said)


def _reason(stderr: Sequence[str]) -> str | None:
    """Why a program refused; None if its status means something else, as if the model's own code exited."""
    try:
        reason = json.loads(stderr[-1])
    except (IndexError, ValueError):
        return None
    return reason if isinstance(reason, str) else None
