"""`make test`: provides what the tests need of the machine, and runs them all.

python -m tests [ARGUMENTS OF PYTEST]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests import machine


def main(arguments: list[str]) -> int:
    """Run the tests; their status."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what was started is ended
    with machine.provided(lambda text: print(text, flush=True)) as missing:
        for line in missing:
            print(f"not tested here: {line}", flush=True)
        if missing and os.environ.get("CI"):
            print("error: in CI everything is tested", file=sys.stderr)
            return 1
        process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments])
        try:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:  # it has heard it, too
                    continue
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
