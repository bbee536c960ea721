from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstack.monitoring.bulk import DAY
from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.quality import Form
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.pipeline import archive
from modelstack.pipeline.baseline import baseline, form_of, judged, outcomes
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.recipe import canonical

LATE = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}


FORM = Form.from_dict(LATE)


def summed(answers: list[Any], times: Any = None) -> Baseline:
    return baseline(FORM, outcomes(FORM, [said for said, _ in answers], [label for _, label in answers]), times)


def test_the_bytes_of_a_baseline_never_change_without_the_format():
    """If this fails, the same recipe gives other bytes than before: raise modelstack.pipeline.recipe.FORMAT,
    and this digest.
    """
    answers = [({"late": n % 3 == 0, "p": n % 97 / 97}, n % 5 == 0) for n in range(1000)]
    text = canonical(summed(answers, np.repeat(np.arange(25) * DAY, 40)).as_dict())
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "a3caa0dd77207428c16e17f0a55e444755f91c168a0c0e969c439f071bb5be5a"
    )


@pytest.mark.parametrize(
    ("answers", "labels", "said"),
    [
        ([], [True], "found 0 answers of 1 rows; expected one for each"),
        ([{"late": True, "p": 0.5}] * 2, [True], "found 2 answers of 1 rows; expected one for each"),
        (["late"], [True], "answer 0: found a prediction 'late'; expected an object as the server answers it"),
        ([{"late": True, "p": 0.5}], ["yes"], "answer 0: label: got 'yes', expected one of false, true"),
        ([{"late": True, "p": 1.5}], [True], "answer 0: found a prediction {'late': True, 'p': 1.5}"),
    ],
)
def test_answers_of_another_form_are_refused_by_their_place(answers: list[Any], labels: list[Any], said: str):
    with pytest.raises(ContractBroken) as refused:
        outcomes(FORM, answers, labels)
    assert f"model/serving.py: predict(model, rows): {said}" in str(refused.value)


def test_without_the_form_of_answers_nothing_is_known_and_one_of_another_form_is_refused(tmp_path: Path):
    assert form_of(tmp_path) is None
    (tmp_path / "answer.json").write_text("{}")
    with pytest.raises(ContractBroken, match=r"model/answer.json: kind"):
        form_of(tmp_path)


def test_the_sealed_baseline_says_what_the_sealed_metrics_say(sealed):
    baseline = Baseline.from_dict(json.loads(archive.read(sealed.path, archive.BASELINE)))
    kept, metrics = baseline.performance, sealed.metrics
    found = kept.measures(binary=True)
    assert kept.pairs == metrics["rows"]
    assert found["LogLoss"].value == pytest.approx(metrics["log_loss"], abs=1e-6)
    assert found["AUC"].low <= metrics["auc"] <= found["AUC"].high
    assert found["AUC"].value == pytest.approx(metrics["auc"], abs=0.005)


@pytest.mark.slow
def test_how_days_of_the_evaluation_differ_is_sealed_when_there_are_enough_of_them():
    answers = [({"late": True, "p": 0.5 + n // 100 % 5 / 10}, True) for n in range(2000)]
    found = summed(answers, np.repeat(np.arange(20) * DAY, 100))
    assert (found.usual.cut, found.usual.high, found.usual.means.blocks) == (Cut(DAY, 100), 5.0, 20)
    assert found.usual.means.usual == pytest.approx(found.performance.mean("LogLoss"), abs=1e-9)
    assert Baseline.from_dict(json.loads(canonical(found.as_dict()))).usual == found.usual
    told = "a moved concept is judged against 20 blocks of evaluation; with the default settings the concept alarm "
    assert judged(found).startswith(told)
    few = summed(answers, np.repeat(np.arange(10) * DAY, 200))
    assert judged(few) == (
        "a moved concept is not tested, so its alarm cannot fire: evaluation has fewer than 20 days of rows or, where "
        "rows have no times or those of waves, than 500 rows"
    )
    assert Baseline.from_dict(few.as_dict()).usual is None


def test_people_of_a_yearly_survey_are_judged_by_rows_and_what_can_be_seen_is_told():
    source = np.random.default_rng(1)
    chance = source.random(4000)
    answers = [
        ({"late": bool(p > 0.5), "p": float(p)}, bool(yes))
        for p, yes in zip(chance, source.random(4000) < chance, strict=True)
    ]
    before, year = np.zeros(4000), np.full(4000, 365 * DAY)
    held = outcomes(FORM, [said for said, _ in answers], [label for _, label in answers])
    found = baseline(FORM, held, year, before)
    assert (found.usual.cut, found.usual.means.blocks, found.usual.wave) == (Cut(0.0, 62), 64, 365 * DAY)
    assert Baseline.from_dict(json.loads(canonical(found.as_dict()))).usual == found.usual
    assert "64 blocks of evaluation (62 rows each, cut within a wave)" in judged(found)
    assert "sees a rise of the loss by " in judged(found)
    assert baseline(FORM, held, year).usual is None, "one date alone may be a day of any traffic"
    spread = baseline(FORM, held, year + np.sort(source.random(4000)) * 365 * DAY, before)
    assert (spread.usual.cut.span, spread.usual.wave) == (3 * DAY, None)
    assert "blocks of evaluation (3 days each)" in judged(spread)
