from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from modelstack.pipeline.contract import PARTS, ContractBroken
from modelstack.pipeline.outline import broken, check, listed
from tests.pipeline.conftest import append

ROOT = Path(__file__).resolve().parents[4]
TOGETHER = {"METRICS", "evaluate", "main", "save", "load", "predict"}
"""Parts that need each other."""


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "model"


def told(folder: Path) -> list[str]:
    return broken(folder.parent)


def without(path: Path, name: str) -> None:
    """Remove a function or assignment from a module."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("__init__.py", "not found; expected a file"),
        ("data.py", "not found; expected a file with training(settings)"),
        ("training.py", "not found; expected a file with train(rows, settings)"),
        *((name, "") for name in ("parameters.py", "sources.py", "evaluation.py")),
    ],
)
def test_a_file_that_is_missing_is_named_if_it_is_required(folder: Path, name: str, said: str):
    (folder / name).unlink()
    assert told(folder) == ([f"model/{name}: {said}"] if said else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "name", "said"),
    [
        ("data.py", "training", "found no training; expected training(settings)"),
        ("training.py", "train", "found no train; expected train(rows, settings)"),
        ("evaluation.py", "METRICS", "found no METRICS; expected METRICS, as it has evaluate"),
        ("evaluation.py", "evaluate", "found no evaluate; expected evaluate(estimator, rows), as it has METRICS"),
        *((part.file, part.name, "") for part in PARTS if part.optional and part.name and part.name not in TOGETHER),
    ],
)
def test_what_a_module_lacks_is_named_with_its_form_unless_it_is_optional(
    folder: Path, file: str, name: str, said: str
):
    without(folder / file, name)
    assert told(folder) == ([f"model/{file}: {said}"] if said else [])


def test_answers_of_ones_own_come_with_what_they_mean(folder: Path):
    answer = (folder / "answer.json").read_bytes()
    (folder / "answer.json").unlink()
    assert told(folder) == ["model/answer.json: not found; predict(model, rows) in model/serving.py needs it"]
    without(folder / "serving.py", "predict")
    assert told(folder) == []
    (folder / "answer.json").write_bytes(answer)
    assert told(folder) == [
        "model/serving.py: found no predict; expected predict(model, rows), as there is an answer.json"
    ]


def test_a_server_of_ones_own_comes_with_how_good_its_answers_are(folder: Path):
    (folder / "answer.json").unlink()
    (folder / "serving.py").write_text("def main(folder, host, port): ...\n")
    assert told(folder) == [], "it has an evaluation of its own"
    (folder / "evaluation.py").unlink()
    assert told(folder) == [
        "model/serving.py: found no predict; expected predict(model, rows), or evaluate(estimator, rows) in "
        "model/evaluation.py"
    ]


def test_an_estimator_that_is_saved_in_a_way_of_ones_own_is_loaded_so(folder: Path):
    (folder / "serving.py").unlink()
    (folder / "answer.json").unlink()
    append(folder / "training.py", "\ndef save(estimator, path): ...\n")
    assert told(folder) == [
        "model/training.py: found no load; expected load(path), as it has save",
        "model/serving.py: found no load; expected load(folder), as model/training.py has a save of its own",
    ]


def test_the_table_says_of_every_part_whether_it_is_there_and_what_it_buys(wine: Path):
    shown = listed(wine)
    cells = [re.split(" {2,}", line.strip()) for line in shown.splitlines()]
    has = [("__init__.py", ""), ("data.py", "training"), ("training.py", "train")]
    has += [("parameters.py", "Parameters"), ("parameters.py", "variant")]
    for part in PARTS:
        there = "yes" if (part.file, part.name) in has else "-"
        assert [part.file, *([part.shown] if part.name else []), there, part.buys] in cells
    assert max(map(len, shown.splitlines())) <= 120


def test_the_page_of_the_contract_tells_every_part_and_what_it_buys():
    page = (ROOT / "docs" / "reference" / "model.md").read_text()
    for part in PARTS:
        assert f"`{part.shown or part.file}`" in page, part
        assert part.buys in page, part


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
    append(folder / "training.py", f"\n{code}\n")
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
    append(folder / "training.py", f"\n{code}\n")
    assert told(folder) == []


def test_a_module_may_be_a_folder_and_bring_its_names_in_by_a_star(folder: Path):
    (folder / "training").mkdir()
    (folder / "training.py").rename(folder / "training" / "fit.py")
    (folder / "training" / "__init__.py").write_text("from model.training.fit import *\n")
    assert told(folder) == []


def test_an_optional_function_is_checked_where_it_is(folder: Path):
    append(folder / "data.py", "\ndef replay(since): ...\n")
    assert told(folder) == ["model/data.py: replay is found to take 1 values; expected replay(since, until)"]


def test_metrics_that_are_not_written_out_and_an_answer_that_is_no_json_are_told(folder: Path):
    append(folder / "evaluation.py", "\nMETRICS = dict(METRICS)\n")
    (folder / "answer.json").write_text('{"kind": "regression",\n "value": "price"\n "largest_error": 9}\n')
    answer, metrics = told(folder)
    assert "does not say what it reports: expected METRICS" in metrics
    assert answer == "model/answer.json: found no JSON in line 3 (Expecting ',' delimiter)"


def test_all_problems_come_in_one_list(folder: Path):
    (folder / "__init__.py").unlink()
    without(folder / "training.py", "train")
    (folder / "data.py").write_text("def training(settings:\n")
    with pytest.raises(ContractBroken) as caught:
        check(folder.parent)
    assert len(caught.value.problems) == 3
    assert str(caught.value).count("\n  - ") == 3
    assert "docs/how-to/own-model.md" in str(caught.value)


def test_a_checkout_without_a_model_says_so(tmp_path: Path):
    assert broken(tmp_path) == [f"{tmp_path / 'model'}: there is no such folder"]
