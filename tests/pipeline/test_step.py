"""A step of the pipeline as a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.step import STARTED_BY_PIPE, YIELDING

STEP = "import os; from pipeline.step import end_with_parent; end_with_parent(); print(os.nice(0))"


@pytest.mark.parametrize("already", [0, 2, YIELDING + 3])
def test_a_step_yields_to_what_serves_and_no_more_in_a_job_that_yields(already: int) -> None:
    given = max(os.nice(0), already)
    started = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.nice({given} - os.nice(0)); {STEP}"],
        env={**os.environ, STARTED_BY_PIPE: "1"},
        stdin=subprocess.PIPE,  # open until it has answered: it ends with its parent
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        assert started.stdout is not None
        assert int(started.stdout.readline()) == max(given, YIELDING)
