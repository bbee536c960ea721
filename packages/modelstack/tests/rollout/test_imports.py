"""What an import of the room costs: `pulumi up` begins with the journal, and pays for nothing else."""

from __future__ import annotations

import pytest

from tests.process import printed


@pytest.mark.slow
def test_who_reads_the_journal_loads_no_controller_and_no_judge() -> None:
    code = "import sys, modelstack.rollout.controller.commands, modelstack.platforms.aws.journal; print(*sys.modules)"
    loaded = set(printed(code).split())
    assert {"modelstack.platforms.aws.journal", "modelstack.rollout.core.state"} <= loaded
    judging = (
        "modelstack.rollout.controller.controller",
        "modelstack.rollout.judge.verdict",
        "modelstack.rollout.core.decision",
    )
    assert not {name for name in loaded if name.startswith(judging)}
