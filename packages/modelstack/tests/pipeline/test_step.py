from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelstack.pipeline.step import STARTED_BY_PIPE, YIELDING, StepFailed, run

STEP = "import os; from modelstack.pipeline.step import end_with_parent; end_with_parent(); print(os.nice(0))"


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


@pytest.mark.parametrize(
    ("body", "told", "refused"),
    [
        ("print('{\"why\": 1}', file=sys.stderr); sys.exit(4)", 'it failed: {"why": 1}', False),
        ("print('\"too few\"', file=sys.stderr); sys.exit(4)", "it refused: too few", True),
        ("sys.exit(4)", "it ended with status 4 and said nothing", False),
        (
            "print('note', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)",
            "it was ended by signal 9 (Killed): the machine may have too little memory\n  its last lines:\n    note",
            False,
        ),
    ],
)
def test_how_a_step_ended_is_told_by_its_status_and_not_by_what_it_happened_to_say(
    tmp_path: Path, body: str, told: str, refused: bool
) -> None:
    (tmp_path / "ended.py").write_text(f"import os, sys\n{body}\n")
    with pytest.raises(StepFailed) as failed:
        run(tmp_path, "ended", [], print, name="it")
    assert (str(failed.value), failed.value.refused) == (told, refused)
