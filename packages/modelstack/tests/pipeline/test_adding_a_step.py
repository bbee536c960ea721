"""The worked example of docs/explanation/pipeline.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from modelstack.pipeline import outcome
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.project import SOURCES
from tests.pipeline.toy import library
from tests.process import python

pytestmark = pytest.mark.e2e  # it has a package, and a checkout of its own

PAGE = Path(__file__).resolve().parents[4] / "docs" / "explanation" / "pipeline.md"


@pytest.fixture
def added(own_daily: Path, champion: SealedPackage) -> Path:
    """A checkout to which the step was added, with earlier outcomes in its work folder."""
    (function,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (line,) = re.findall(r"^\+(.*\n)", PAGE.read_text(), re.MULTILINE)
    library(own_daily)
    (own_daily / "modelstack" / "pipeline" / "size.py").write_text(function)
    steps = own_daily / "modelstack" / "pipeline" / "steps.py"
    assert steps.read_text().count("\nSTEPS = (\n") == 1
    steps.write_text(steps.read_text().replace("\nSTEPS = (\n", f"\nSTEPS = (\n{line}"))
    shutil.copytree(champion.path.parents[1], own_daily / "work" / "packages" / champion.recipe)
    return own_daily


def built(root: Path) -> subprocess.CompletedProcess[str]:
    return python(
        "-m", "modelstack.pipeline", "build", "--workdir", str(root / "work"), cwd=root, PYTHONPATH=f"{root}:{SOURCES}"
    )


def test_the_added_step_runs_after_what_it_takes_and_its_outcome_is_kept(added: Path, champion: SealedPackage) -> None:
    done = built(added)
    assert done.returncode == 0, done.stderr
    assert f"size: the package has {champion.path.stat().st_size:,} bytes" in done.stderr
    assert "train: " not in done.stderr, "the package is the same"
    assert json.loads(done.stdout)["digest"] == champion.digest
    folder = added / "work" / "packages" / champion.recipe
    assert outcome.verified(folder / "size", "size").made_of == {"seal": outcome.read(folder / "seal").digest}
    assert "size: " not in built(added).stderr, "its outcome stands"


def test_the_added_step_stops_a_build_in_words(added: Path) -> None:
    size = added / "modelstack" / "pipeline" / "size.py"
    size.write_text(size.read_text().replace("50_000_000", "1_000"))
    done = built(added)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"^size refused: the package has [\d,]+ bytes; expected at most 1,000$", done.stderr, re.MULTILINE)
