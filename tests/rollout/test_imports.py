"""What an import of the room costs: `pulumi up` begins with the journal, and pays for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rollout


@pytest.mark.parametrize("name", rollout.__all__)
def test_a_public_name_is_its_modules(name: str) -> None:
    found = getattr(rollout, name)
    assert (found.__name__, found.__module__.partition(".")[0]) == (name, "rollout")


def test_there_is_no_other_name() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Nothing' from 'rollout'"):
        from rollout import Nothing  # noqa: F401  # pyright: ignore[reportAttributeAccessIssue]


def test_who_reads_the_journal_loads_no_controller_and_no_judge() -> None:
    code = "import sys, rollout.commands, rollout.dynamo; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"rollout.dynamo", "rollout.state"} <= loaded
    assert not {name for name in loaded if name.startswith(("rollout.controller", "rollout.judge", "rollout.decision"))}
