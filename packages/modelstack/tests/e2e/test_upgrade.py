"""A running stack is upgraded from the wheels of the previous version to those of this checkout, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from bench.fresh import PREVIOUS, Fresh, fresh, wheels
from localcloud.testing import free_port
from tests.e2e.conftest import QUICK
from tests.e2e.test_new_project import change, status, updated

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WAITS = {"kind": "steps", "steps": [{"weight": 50, "bake_seconds": 1, "approve": True}]}
"""A trial that waits for a person, however long an upgrade takes."""
NEWER = """
import boto3, json, sys
table = boto3.resource("dynamodb").Table(sys.argv[1])
item = table.get_item(Key={"endpoint": "churn-local"})["Item"]
table.put_item(Item={**item, "state": json.dumps({**json.loads(item["state"]), "version": 2})})
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """A project in environments with the previous version; the wheels of this one are in the folder `newer`."""
    with fresh(tmp_path_factory.mktemp("upgrade"), free_port(), PREVIOUS) as made:
        wheels(made.folder / "newer")
        made.install()
        made.begin()
        yield made


def test_a_release_of_the_previous_version_is_on_trial(project: Fresh) -> None:
    up(project)
    plan(project, wait=True)
    change(project, "model/training.py", "C=1.0", "C=0.9")
    updated(project)
    plan(project, wait=False)  # else a preview says that the next update goes on
    assert weights(project) == [50, 50]
    assert project.changes() == ([], [])


def test_an_upgrade_changes_the_code_of_functions_alone_and_the_trial_goes_on(project: Fresh) -> None:
    before = status(project)
    project.exchange("newer")
    functions, others = project.changes()
    assert functions, "the versions differ"
    assert others == []
    up(project)
    after = status(project)
    kept = ("champion", "challenger", "phase", "config")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert weights(project) == [50, 50]
    assert project.changes() == ([], [])


def test_the_trial_ends_in_its_promotion_by_the_new_version(project: Fresh) -> None:
    challenger = status(project)["challenger"]
    project.run('modelstack approve --reason "the upgrade went well"')
    plan(project, wait=True)
    updated(project)
    after = status(project)
    assert (after["champion"], after["verdict"]["outcome"]) == (challenger, "promoted")
    assert weights(project) == [100]
    project.run("modelstack audit verify")


def test_a_downgrade_works_while_no_form_has_a_newer_version_and_is_refused_then(project: Fresh) -> None:
    champion = status(project)["champion"]
    project.exchange("wheels")
    functions, others = project.changes()
    assert functions, "the versions differ"
    assert others == []
    up(project)
    assert status(project)["champion"] == champion
    project.run("pulumi preview --expect-no-changes --non-interactive && modelstack audit verify")
    table = json.loads(project.run("pulumi stack output --json"))["journal_table"]
    (project.folder / "newer.py").write_text(NEWER)
    project.run(f".venv/bin/python ../newer.py {table}")
    for command, code in (("modelstack status", 3), ("pulumi preview --non-interactive", 1)):
        assert "version 2, this program reads 1: update it" in project.run(command, code)


def plan(project: Fresh, *, wait: bool) -> None:
    """Configure a trial of one step, and whether an update waits for its verdict."""
    path = project.project / "stacks" / "Pulumi.local.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"]["modelstack:rollout"] = {**QUICK, "strategy": WAITS, "wait": wait}
    path.write_text(yaml.safe_dump(content))


def up(project: Fresh) -> None:
    """Update without traffic."""
    project.run("pulumi stack select --create local && pulumi up --yes --skip-preview --non-interactive")


def weights(project: Fresh) -> list[int]:
    """The requested shares of the variants."""
    return [item["weight"] for item in status(project)["variants"]]
