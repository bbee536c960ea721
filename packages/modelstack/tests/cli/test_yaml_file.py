"""A broken YAML file is told with its name and line, before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from localcloud.setup import Places
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.stack import Stack
from tests.process import ROOT

GOOD = (ROOT / "stacks/Pulumi.local.yaml").read_text().splitlines(keepends=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    for name in ("Pulumi.yaml", "pyproject.toml", "stacks/Pulumi.local.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def with_line(number: int, line: bytes) -> bytes:
    lines = [text.encode() for text in GOOD]
    lines[number - 1] = line + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (with_line(7, b'    name: "flight'), "line 33", "a quoted scalar that begins in line 7"),
        (with_line(8, b"    parameters: {max_iter: 60 learning_rate: 0.1}"), "line 8", "expected ',' or '}'"),
        (
            with_line(8, b"    parameters: {max_iter: .nan}"),
            "line 8",
            ".nan is no number for a config; allowed are finite",
        ),
        (with_line(8, b"    parameters: {max_iter: -.Inf}"), "line 8", "-.Inf is no number for a config"),
        (with_line(7, b"\tname: flight-delay"), "line 7", "cannot start any token"),
        (with_line(8, b"    gates: {}"), "line 9", "gates stands here twice"),
        (with_line(7, b"    name: caf\xe9"), "line 7", "not UTF-8"),
        (with_line(7, b"    name: a\x07b"), "line 7", "special characters are not allowed"),
        (b"- config\n", "", "the whole file is ['config'], and is to hold fields"),
        (b"config: {modelstack:model: fast}\n", "", "modelstack:model is 'fast', and is to hold fields"),
    ],
    ids=["quote", "comma", "nan", "infinite", "tab", "twice", "encoding", "character", "list", "word"],
)
def test_a_broken_stack_file_is_told_with_file_and_line_before_anything_runs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, where: str, what: str
) -> None:
    monkeypatch.setenv("PATH", "")  # whatever is started is not found
    (checkout / "stacks/Pulumi.local.yaml").write_bytes(content)
    for use in (
        Stack("local", root=checkout).parameters,
        lambda: Local(Places.of(checkout), "p").follow(Console(), Stack("local", root=checkout), "up", "up.log"),
    ):
        with pytest.raises(OperatorError) as told:
            use()
        assert "Pulumi.local.yaml" in str(told.value)
        assert where in str(told.value)
        assert what in str(told.value)


def test_a_broken_project_file_is_told_likewise(checkout: Path) -> None:
    file = checkout / "Pulumi.yaml"
    file.write_text(file.read_text().replace("name: modelstack", 'name: "modelstack'))
    with pytest.raises(OperatorError, match=r"Pulumi\.yaml, line \d+: this is not YAML"):
        Local.here(checkout)


def test_a_file_that_is_in_order_is_read(checkout: Path) -> None:
    assert Stack("local", root=checkout).parameters() == {"max_iter": 60, "learning_rate": 0.1, "fault": "none"}
