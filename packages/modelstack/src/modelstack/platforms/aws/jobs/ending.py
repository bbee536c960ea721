"""The end of a SageMaker job: with the reason of a failure, and with its steps on a signal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

LONGEST_REASON = 1024
"""Characters of a reason that SageMaker shows."""


def run(main: Callable[[list[str], Path], int]) -> None:
    """Run the program of a job on its arguments and SageMaker's folder, and exit with its status.

    SIGTERM is an exit, so that steps end too: the first process of a container ignores signals without a handler.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:], Path(os.environ.get("OPT_ML") or "/opt/ml")))


def failed(why: str, told: Path, status: int = 1) -> int:
    """Report why a job failed, in its log and in the file that SageMaker reads; returns the status."""
    print(why, file=sys.stderr, flush=True)
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text(why[:LONGEST_REASON])
    return status
