"""What is sealed of the evaluation, for labels to be held against."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.performance import Performance
from pipeline import archive
from pipeline.baseline import FILE, baseline
from pipeline.contract import ContractBroken
from pipeline.recipe import canonical

LATE = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}


def folder(path: Path, form: Any = LATE) -> Path:
    (path / "answer.json").write_text(json.dumps(form))
    return path


def test_the_bytes_of_a_baseline_never_change_without_the_format(tmp_path: Path):
    """If this fails, the same recipe gives other bytes than before: raise pipeline.recipe.FORMAT, and this digest."""
    answers = [({"late": n % 3 == 0, "p": n % 97 / 97}, n % 5 == 0) for n in range(1000)]
    text = canonical(baseline(folder(tmp_path), answers).as_dict())
    assert canonical(baseline(tmp_path, reversed(answers)).as_dict()) == text, "in whatever order"
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "11c359ceff574dce3f5bfd9cd875a3afcc04d6553b569ea83b0c5b11339be14c"
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([], "found no answers; expected one for each row"),
        ([3], "answer 0: found 3; expected a prediction and its label"),
        ([("late", True)], "answer 0: found a prediction 'late'; expected an object as the server answers it"),
        ([({"late": True, "p": 0.5}, "yes")], "answer 0: label: got 'yes', expected one of false, true"),
        ([({"late": True, "p": 1.5}, True)], "answer 0: found a prediction {'late': True, 'p': 1.5}"),
    ],
)
def test_answers_of_another_form_are_refused_by_their_place(tmp_path: Path, answers: list[Any], said: str):
    with pytest.raises(ContractBroken) as refused:
        baseline(folder(tmp_path), answers)
    assert f"model/evaluation.py: answers(estimator, rows): {said}" in str(refused.value)


def test_without_the_form_of_answers_nothing_can_be_held_against_labels(tmp_path: Path):
    with pytest.raises(ContractBroken, match=r"model/answer.json: not found"):
        baseline(tmp_path, [])
    with pytest.raises(ContractBroken, match=r"model/answer.json: kind"):
        baseline(folder(tmp_path, {}), [])


def test_the_sealed_baseline_says_what_the_sealed_metrics_say(sealed):
    kept = Performance.from_dict(json.loads(archive.read(sealed.path, FILE)))
    found, metrics = kept.measures(binary=True), sealed.metrics
    assert kept.pairs == metrics["rows"]
    assert found["LogLoss"].value == pytest.approx(metrics["log_loss"], abs=1e-6)
    assert found["AUC"].low <= metrics["auc"] <= found["AUC"].high
    assert found["AUC"].value == pytest.approx(metrics["auc"], abs=0.005)
