"""`make pipeline`: digests of engines beside each other, and what is said when one of them cannot or did not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from cli.built import beside, command, contained, here
from cli.built.executed import Executed
from cli.errors import OperatorError
from cli.local.stack import Stack
from pipeline.recipe import Recipe
from pipeline.step import StepFailed

ROOT = Path(__file__).resolve().parents[2]
MADE = {"data": f"sha256:{'a' * 64}", beside.PACKAGE: f"sha256:{'b' * 64}"}
BEFORE = "data, train, evaluate, seal, compare"
RECIPE = Recipe("f" * 64, {})
OTHER = {**MADE, beside.PACKAGE: f"sha256:{'c' * 64}"}


def test_digests_stand_beside_each_other_and_differences_are_named() -> None:
    found = {"one": MADE, "two": OTHER}
    assert beside.table(found).splitlines() == [
        "step     one                  two",
        f"data     sha256:{'a' * 12}  sha256:{'a' * 12}",
        f"package  sha256:{'b' * 12}  sha256:{'c' * 12}",
    ]
    assert beside.other(found) == [beside.PACKAGE]
    assert beside.other({"one": MADE, "two": {beside.PACKAGE: MADE[beside.PACKAGE]}}) == ["data"]
    assert beside.agreed({**found, "three": MADE}) == 2


def test_an_unknown_engine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["four"]) == 2
    assert "'four' is no engine: expected local, sagemaker, kubeflow" in capsys.readouterr().out


def test_a_step_that_fails_here_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise StepFailed("train", "failed: ValueError: no")

    monkeypatch.setattr(here, "build", fails)
    assert command.main(["local"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "error: train failed: ValueError: no"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            ["waiting for another", "gate: judge", "gate: passed"],
            ["waiting for another", f"{BEFORE}: kept from an earlier build", "gate: judge", "gate: passed"],
        ),
        (
            ["train: fit", "train: fitted", "train failed: no; it is tried again", "seal: seal"],
            [
                *("data: kept from an earlier build", "train: fit", "train: fitted"),
                *("train failed: no; it is tried again", "evaluate: kept from an earlier build", "seal: seal"),
                "compare, gate: kept from an earlier build",
            ],
        ),
        ([], [f"{BEFORE}, gate: kept from an earlier build"]),
    ],
)
def test_steps_that_were_kept_are_told_in_the_order_of_the_steps(
    monkeypatch: pytest.MonkeyPatch, said: list[str], shown: list[str]
) -> None:
    def build(*_: Any, progress: Any) -> Any:
        for line in said:
            progress(line)
        return SimpleNamespace(path=Path("folder/seal/model.tar.gz"))

    monkeypatch.setattr(here, "build", build)
    monkeypatch.setattr(here, "left", lambda folder: {folder.name: ""})
    lines: list[str] = []
    assert here.digests(RECIPE, {}, lines.append) == {"folder": ""}
    assert lines == shown


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mapping[str, str]]:
    """Engines that make at once what the test says, by their names; Kubeflow without a Docker engine."""
    makes: dict[str, Mapping[str, str]] = {"local": MADE, "sagemaker": MADE}
    target: Any = SimpleNamespace(
        region="us-east-1", endpoint="e", output=lambda name: name, commands=SimpleNamespace(modelstack="modelstack")
    )

    def no_engine(*_: Any) -> None:
        raise OperatorError("no Docker engine answers: no", "Start one.")

    monkeypatch.setattr(here, "digests", lambda *_: makes["local"])
    monkeypatch.setattr(command.executed, "executed", lambda *_: Executed("a/b", makes["sagemaker"], {}))
    monkeypatch.setattr(contained.Engine, "find", no_engine)
    monkeypatch.setattr(command, "_served", lambda console: (Stack(command.STACK), target))
    monkeypatch.setattr(command, "traced", lambda target: None)
    monkeypatch.setattr(command, "told", lambda *_: "the chain")
    return makes


def test_without_a_docker_engine_the_others_are_compared_and_it_is_said(
    world: dict[str, Mapping[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([]) == 0
    said = capsys.readouterr().out
    assert "error: no Docker engine answers: no" in said
    assert f"2 of 2 made {MADE[beside.PACKAGE]}" in said
    assert "the chain" in said
    assert command.main(["kubeflow"]) == 1, "it was asked for"
    assert capsys.readouterr().out.startswith("error: no Docker engine answers: no"), "before anything is done"


def test_engines_that_differ_are_an_error_that_names_the_steps(
    world: dict[str, Mapping[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    world["sagemaker"] = OTHER
    assert command.main([]) == 1
    assert "The engines differ in what package made" in capsys.readouterr().out


def test_its_stack_is_that_of_make_up_but_for_who_builds_and_who_shows() -> None:
    def config(name: str) -> dict[str, Any]:
        return yaml.safe_load((ROOT / "stacks" / f"Pulumi.{name}.yaml").read_text())["config"]

    mine, usual = config(command.STACK), config("local")
    assert mine.pop("modelstack:rollout")["strategy"]["kind"] == "all_at_once", "nobody sends requests"
    del usual["modelstack:rollout"]
    assert {name: mine.pop(name) for name in ("modelstack:pipeline", command.MLFLOW)} == {
        "modelstack:pipeline": {"engine": "sagemaker"},
        command.MLFLOW: {"server": "http://127.0.0.1:5000"},
    }
    assert mine == usual


def test_mlflow_on_another_port_is_written_into_a_copy_of_the_stacks_file(tmp_path: Path) -> None:
    stack = Stack(command.STACK)
    assert command.shown_in(stack, "http://127.0.0.1:5000", tmp_path) is None
    copy = command.shown_in(stack, "http://127.0.0.1:5001", tmp_path)
    assert copy is not None
    assert yaml.safe_load(copy.read_text())["config"][command.MLFLOW] == {"server": "http://127.0.0.1:5001"}
