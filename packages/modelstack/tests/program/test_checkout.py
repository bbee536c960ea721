"""What the checkout's model lacks is one list, before the program looks at anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pulumi
import pytest

from modelstack.program.config import checkout
from tests.program.recorded import run_program


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(checkout.project_root() / "model", tmp_path / "model", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    return tmp_path / "model"


def test_a_model_that_keeps_its_contract_passes_with_and_without_a_form_of_its_answers(model: Path) -> None:
    checkout.check_model()
    assert checkout.losses() == ["accuracy", "log_loss"]
    (model / "answer.json").unlink()
    (model / "serving.py").unlink()
    checkout.check_model()
    assert checkout.losses() == ["absolute_error", "accuracy", "log_loss"], "which of them, only training tells"
    assert checkout.can_retrain()
    (model / "parameters.py").unlink()
    assert not checkout.can_retrain()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"kind": "ranking"}, "model/answer.json: kind: got 'ranking', expected classification or regression"),
        (
            {"kind": "classification", "classes": ["a"], "decision": "class"},
            "model/answer.json: classes: got ['a'], expected two labels or more",
        ),
    ],
)
def test_all_that_is_missing_is_told_with_the_form_of_the_answers(model: Path, form: object, said: str) -> None:
    (model / "answer.json").write_text(json.dumps(form))
    (model / "serving.py").write_text("def predict(model): ...")
    with pytest.raises(pulumi.RunError) as caught:
        checkout.check_model()
    assert str(caught.value).splitlines() == [
        "nothing was changed: the model does not give what docs/how-to/own-model.md asks for:",
        "  - model/serving.py: predict is found to take 1 values; expected predict(model, rows)",
        f"  - {said}",
    ]


def test_a_form_that_is_no_json_is_told_once(model: Path) -> None:
    (model / "answer.json").write_text("{")
    with pytest.raises(pulumi.RunError) as caught:
        checkout.check_model()
    assert str(caught.value).count("answer.json") == 1


def test_the_program_stops_at_it_before_its_config_is_read(model: Path) -> None:
    (model / "training.py").unlink()
    with pytest.raises(pulumi.RunError, match=r"model/training\.py: not found"):
        run_program(serving={"instance_count": 0})


def test_a_retrained_window_counts_as_soon_as_it_knows_a_day_more_than_the_config() -> None:
    own = {"refit": True}  # knows the days before 2013-04-01
    assert checkout.parameters_through(own, "2013-04-03")["evaluate_until"] == "2013-04-02"
    assert checkout.parameters_through(own, "2013-04-02") == own
