"""A project that `modelstack new` wrote lives its life with nothing but the wheels: no checkout, no Makefile."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import ROOT
from bench.fresh import Fresh, fresh
from localcloud.testing import free_port
from tests.e2e.conftest import QUICK

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RATE = 6
FAULTY = """
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from modelstack.serving.sealed import Sealed, read

_calls = count(1)


def load(folder: Path) -> Sealed:
    model = read(folder)
    return Faulty(model.estimator, model.parameters, folder)


@dataclass(frozen=True)
class Faulty(Sealed):
    def predict_proba(self, rows: Any) -> Any:
        if next(_calls) % 2 == 0:  # not the sealed example at the start
            raise RuntimeError("broken on purpose")
        return super().predict_proba(rows)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """A new project that is set up, and its local cloud."""
    with fresh(tmp_path_factory.mktemp("new"), free_port()) as made:
        made.install()
        made.begin()
        yield made


def status(project: Fresh) -> dict[str, Any]:
    """`modelstack status`."""
    return json.loads(project.run("modelstack status --json || [ $? = 1 ]"))  # 1: an alarm fires


def test_its_first_update_serves_the_example_model(project: Fresh) -> None:
    project.run("python -m pytest -q tests")
    project.run("pulumi stack init local && pulumi up --yes --skip-preview --non-interactive")
    seen = status(project)
    assert seen["endpoint"] == "churn-local"
    assert [item["weight"] for item in seen["variants"]] == [100]
    assert '"prediction":"class_' in project.run("python -m modelstack.pipeline example | modelstack invoke -")
    assert "No alarm fires" in project.run("modelstack status")
    project.run("modelstack lineage --openlineage ../events")
    assert "urn:modelstack:lineage:" in (project.folder / "events").read_text()


def test_a_preview_without_a_change_has_nothing_to_do_and_the_repository_is_clean(project: Fresh) -> None:
    project.run("git add --all && git -c user.name=t -c user.email=t@example.org commit --quiet -m Begin")
    project.run("pulumi preview --expect-no-changes --non-interactive")
    assert project.run("git status --porcelain") == ""
    report = project.run("modelstack --stack local pr-report")
    assert "**Nothing changes on stack `local`**" in report


def test_another_version_is_promoted_under_traffic(project: Fresh) -> None:
    path = project.project / "stacks" / "Pulumi.local.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"]["modelstack:rollout"] = QUICK
    path.write_text(yaml.safe_dump(content))
    before = status(project)["champion"]
    change(project, "model/training.py", "C=1.0", "C=0.9")
    output, traffic = updated(project)
    assert "gets 50%" in output, "it is a trial"
    assert re.search("200: [1-9]", traffic), "requests were answered all the while"
    after = status(project)
    assert after["champion"] != before and after["verdict"]["outcome"] == "promoted"


def test_a_faulty_release_is_rolled_back(project: Fresh) -> None:
    before = status(project)["champion"]
    (project.project / "model" / "serving.py").write_text(FAULTY)
    output, _ = updated(project, status=1)
    assert "the release was not promoted: rolled back" in output
    assert status(project)["champion"] == before


def test_everything_is_destroyed(project: Fresh) -> None:
    project.run(
        "pulumi destroy --yes --skip-preview --non-interactive && pulumi stack rm --yes --preserve-config local"
    )
    project.run("localcloud stop")
    assert "not running" in project.run("localcloud status", status=3)


def test_nothing_leads_to_the_repository_of_the_library(project: Fresh) -> None:
    program = "import modelstack, localcloud, sys; print(modelstack.__file__, localcloud.__file__, *sys.path)"
    paths = project.run(f".venv/bin/python -c '{program}'")
    assert str(ROOT) not in paths


def change(project: Fresh, name: str, before: str, after: str) -> None:
    """Replace a text in a file of the project."""
    path: Path = project.project / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def updated(project: Fresh, status: int = 0) -> tuple[str, str]:
    """What an update printed, and what the traffic during it did."""
    replay = project.start(f"modelstack replay --rate {RATE}")
    try:
        output = project.run("pulumi up --yes --skip-preview --non-interactive", status)
    finally:
        os.killpg(replay.pid, signal.SIGINT)
        traffic, _ = replay.communicate()
    return output, traffic
