"""`make test` and `make test-faults`: provide what the tests need of the machine, and run them.

Tests that are marked `alone` run at the end, when nothing else does. Rows of the fault table that are marked `faults`
are left to `make test-faults`, which plays the whole table. Both mostly wait for a cluster, so two files run at once.

python -m tests [ARGUMENTS OF PYTEST]    # with PYTEST_ARGS set, which chooses some, only those
python -m tests --faults [ARGUMENTS OF PYTEST]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import machine

_FAULTS = (
    "packages/modelstack/tests/conformance/test_faults.py",
    "packages/modelstack/tests/conformance/test_cluster_faults.py",
)
_TWO_FILES = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def main(arguments: list[str]) -> int:
    """Run the tests; 0 when all passed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored, by children, too
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what was started is ended
    with machine.provided(lambda text: print(text, flush=True)) as missing:
        for need in missing:
            print(f"not tested here: {need.tests}: {need.lacking()}", flush=True)
        if any(not need.asked for need in missing) and os.environ.get("CI"):
            print("error: in CI everything is tested", file=sys.stderr)
            return 1
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["--faults"]:
        return _pytest("faults", *_TWO_FILES, *_FAULTS, "-m", "e2e", *arguments[1:])
    if os.environ.get("PYTEST_ARGS"):
        return _pytest("chosen", *arguments)
    # To collect all the others takes longer than some of these.
    alone = [str(path) for path in Path(__file__).parent.rglob("test_*.py") if "mark.alone" in path.read_text()]
    # One after the other, also when the first has failed: whoever waits so long wants to know all.
    return max(
        _pytest("test", *arguments, "-m", "not alone and not faults"),
        _pytest("test-alone", *_TWO_FILES, "-m", "alone and not faults", *alone),
    )


def _pytest(durations: str, *arguments: str) -> int:
    """The status of pytest, at its end; the duration of each test goes to a file of that name."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.durations", "--durations-to", durations, *arguments]
    with subprocess.Popen(command) as process:
        try:
            return abs(_ended(process))
        finally:
            process.terminate()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The status of a process, at its end; a terminal's Ctrl-C has reached it, too."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
