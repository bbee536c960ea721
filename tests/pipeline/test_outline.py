"""What the folder of a model lacks is told by reading it, file by file, and nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.contract import MODULES, ContractBroken
from pipeline.outline import broken, check

ROOT = Path(__file__).resolve().parents[2]
Checkout = Callable[[str], Path]


@pytest.fixture
def folder(checkout: Checkout) -> Path:
    """A copy of the model's folder, to break."""
    return checkout("checkout") / "model"


def told(folder: Path) -> list[str]:
    return broken(folder.parent)


def without(path: Path, name: str) -> None:
    """Take one function or assignment out of a module."""
    tree = ast.parse(path.read_text())
    tree.body = [
        item
        for item in tree.body
        if name != getattr(item, "name", "")
        and name not in [getattr(one, "id", "") for one in getattr(item, "targets", [])]
    ]
    path.write_text(ast.unparse(tree))


def test_the_model_of_this_repository_keeps_the_contract():
    assert broken(ROOT) == []
    check(ROOT)


@pytest.mark.parametrize("name", [f"{name}.py" for name in MODULES] + ["Dockerfile", "entrypoint.py"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str):
    (folder / name).unlink()
    (line,) = told(folder)
    assert line.startswith(f"model/{name}: not found; ")


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        ("__init__", "NAME", "found no NAME; expected NAME"),
        ("parameters", "parse", "found no parse; expected parse(given)"),
        ("parameters", "ParameterError", "found no ParameterError; expected ParameterError"),
        ("sources", "files", "found no files; expected files()"),
        ("sources", "READERS", "found no READERS; expected READERS"),
        ("data", "evaluation", "found no evaluation; expected evaluation(settings)"),
        ("training", "train", "found no train; expected train(rows, settings)"),
        ("evaluation", "METRICS", "found no METRICS; expected METRICS"),
        ("serving", "main", "found no main; expected main(folder, host, port)"),
    ],
)
def test_what_a_module_lacks_is_named_with_its_form(folder: Path, module: str, name: str, said: str):
    without(folder / f"{module}.py", name)
    assert told(folder) == [f"model/{module}.py: {said}"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("data", "replay"),
        ("parameters", "variant"),
        ("parameters", "FAULTY"),
        ("parameters", "retrained"),
        ("evaluation", "answers"),
    ],
)
def test_what_only_a_replay_a_demo_a_retraining_or_labels_need_may_be_missing(folder: Path, module: str, name: str):
    without(folder / f"{module}.py", name)
    assert told(folder) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def train(rows): ...", "train is found to take 1 values; expected train(rows, settings)"),
        ("def train(rows, settings, seed): ...", "train is found to take 3 values; expected train(rows, settings)"),
        (
            "def train(rows, settings, *, seed): ...",
            "train is found to need seed by name; expected train(rows, settings)",
        ),
        ("async def train(rows, settings): ...", "train is found async; expected train(rows, settings)"),
    ],
)
def test_a_function_that_cannot_be_called_so_is_told(folder: Path, code: str, said: str):
    with (folder / "training.py").open("a") as file:
        file.write(f"\n{code}\n")
    assert told(folder) == [f"model/training.py: {said}"]


@pytest.mark.parametrize(
    "code",
    [
        "def train(rows, settings, seed=1, *, progress=print): ...",
        "def train(*given): ...",
        "from model.features import table as train",
        "train = max",
        "if True:\n    def train(rows, settings): ...\nelse:\n    def train(rows, settings): ...",
    ],
)
def test_a_function_may_be_made_in_any_way_that_can_be_called_so(folder: Path, code: str):
    without(folder / "training.py", "train")
    with (folder / "training.py").open("a") as file:
        file.write(f"\n{code}\n")
    assert told(folder) == []


def test_a_module_may_be_a_folder_and_bring_its_names_in_by_a_star(folder: Path):
    (folder / "training").mkdir()
    (folder / "training.py").rename(folder / "training" / "fit.py")
    (folder / "training" / "__init__.py").write_text("from model.training.fit import *\n")
    assert told(folder) == []


def test_an_optional_function_is_checked_where_it_is(folder: Path):
    with (folder / "data.py").open("a") as file:
        file.write("\ndef replay(since): ...\n")
    assert told(folder) == ["model/data.py: replay is found to take 1 values; expected replay(since, until)"]


def test_metrics_that_are_not_written_out_and_an_answer_that_is_no_json_are_told(folder: Path):
    with (folder / "evaluation.py").open("a") as file:
        file.write("\nMETRICS = dict(METRICS)\n")
    (folder / "answer.json").write_text("{")
    metrics, answer = told(folder)
    assert "does not say what it reports: expected METRICS" in metrics
    assert answer.startswith("model/answer.json: found no JSON")


def test_all_problems_come_in_one_list(folder: Path):
    (folder / "serving.py").unlink()
    without(folder / "training.py", "save")
    (folder / "data.py").write_text("def training(settings:\n")
    with pytest.raises(ContractBroken) as caught:
        check(folder.parent)
    assert len(caught.value.problems) == 3
    assert str(caught.value).count("\n  - ") == 3
    assert "docs/how-to/own-model.md" in str(caught.value)


def test_a_checkout_without_a_model_says_so(tmp_path: Path):
    assert broken(tmp_path) == [f"{tmp_path / 'model'}: there is no such folder"]
