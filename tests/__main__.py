"""`make test`: provides what the tests need of the machine, and runs them all, the local cloud's own ones beside.

Those that are marked `alone` run at the end, when nothing else does.

python -m tests [ARGUMENTS OF PYTEST]    # with PYTEST_ARGS set, which chooses some, only those of this folder
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import machine

ROOT = Path(__file__).resolve().parents[1]
_PYTEST = (sys.executable, "-m", "pytest")


def main(arguments: list[str]) -> int:
    """Run the tests; 0 when all passed."""
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
    if os.environ.get("PYTEST_ARGS"):
        return _status([*_PYTEST, *arguments])
    # One after the other, also when the first has failed: whoever waits so long wants to know all.
    return max(_beside_the_cloud_s([*_PYTEST, *arguments, "-m", "not alone"]), _status([*_PYTEST, "-m", "alone"]))


def _status(command: list[str]) -> int:
    """That of a command, at its end."""
    with subprocess.Popen(command) as process:
        try:
            return abs(_ended(process))
        finally:
            process.terminate()


def _beside_the_cloud_s(command: list[str]) -> int:
    """The same of a command beside which the local cloud's own tests run."""
    # One worker is done before the others are, and more of them would only make the others late.
    cloud = ["make", "--no-print-directory", "-C", str(ROOT / "localcloud"), "test", f"RUN={sys.executable}"]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen([*cloud, "PYTEST_ARGS=-n 1"], stdout=said, stderr=subprocess.STDOUT) as beside:
            try:
                statuses = [_status(command), abs(_ended(beside))]
            finally:
                beside.terminate()
        said.seek(0)
        lines = said.read().splitlines(keepends=True)
        # Of what passed nobody needs more than the sum, so that what failed stands at the end.
        sys.stdout.buffer.writelines(lines if statuses[-1] else lines[-1:])
        sys.stdout.flush()
        return max(statuses)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The status of a process, at its end; a terminal's Ctrl-C has reached it, too."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
