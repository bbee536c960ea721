"""Versions to rehearse with are named by the model, and a model that names none is told so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from demos.versions import as_good, at_fault, check_named
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.pipeline.recipe import recipe
from tests.process import ROOT


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A checkout with the model and a stack's file."""
    for room in ("model", "requirements"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    return Stack("local", root=tmp_path)


def test_another_version_differs_in_its_recipe_and_keeps_all_other_parameters(stack: Stack, tmp_path: Path) -> None:
    check_named(stack.root)
    good = as_good(stack, tmp_path)
    before, after = stack.parameters(), good.parameters()
    assert {name for name in before if before[name] != after[name]} == {"learning_rate"}
    assert recipe(stack.root, before).digest != recipe(stack.root, after).digest
    assert at_fault(good, tmp_path).parameters() == {**after, "fault": "errors"}


def test_a_version_that_is_known_is_not_taken(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demos.versions._TRIES", 5)
    asked: list[str] = []

    def known(digest: str) -> bool:
        asked.append(digest)
        return len(asked) < 3

    taken = as_good(stack, tmp_path, known)
    assert recipe(stack.root, taken.parameters()).digest == asked[2]
    assert len(set(asked)) == 3
    with pytest.raises(OperatorError, match="every version that was tried is known"):
        as_good(stack, tmp_path, lambda digest: True)


@pytest.mark.parametrize("name", ["variant", "FAULTY"])
def test_a_model_that_names_no_versions_is_told_what_is_missing(stack: Stack, name: str) -> None:
    with (stack.root / "model" / "parameters.py").open("a") as code:
        code.write(f"\ndel {name}\n")
    with pytest.raises(OperatorError, match=rf"parameters\.py has no {name}.*docs/how-to/own-model\.md"):
        check_named(stack.root)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"config": None},
        {"config": {"modelstack:model": None}},
        {"config": {"modelstack:model": {"name": "wine", "parameters": None}}},
    ],
)
def test_a_stack_whose_file_sets_no_parameters_has_none_and_takes_some(tmp_path: Path, content: object) -> None:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "Pulumi.local.yaml").write_text(yaml.safe_dump(content))
    stack = Stack("local", root=tmp_path)
    assert stack.parameters() == {}
    assert stack.with_parameters(tmp_path, depth=3).parameters() == {"depth": 3}
