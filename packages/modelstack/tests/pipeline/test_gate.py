from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelstack.pipeline.gate import GateError, GateRefused, gate, reported

METRICS = {"auc": 0.58, "log_loss": 0.65, "brier": 0.2}


def test_a_model_within_its_gates_passes_at_the_bound_too():
    gate(METRICS, {})
    gate(METRICS, {"auc": {"min": 0.58}, "log_loss": {"max": 0.65, "min": 0}})
    with pytest.raises(GateRefused):
        gate(METRICS, {"auc": {"min": 0.5801}, "log_loss": {"max": 0.65, "min": 0}})


def test_a_refusal_is_a_table_of_metric_value_and_gate():
    with pytest.raises(GateRefused) as refused:
        gate(METRICS, {"auc": {"min": 0.6}, "log_loss": {"max": 0.62}, "brier": {"max": 0.5}})
    assert str(refused.value).splitlines() == [
        "the model is below its gates and is not released:",
        "  metric    value   gate",
        "  auc       0.5800  min 0.6",
        "  log_loss  0.6500  max 0.62",
    ]
    assert [(miss.metric, miss.value, miss.side, miss.bound) for miss in refused.value.misses] == [
        ("auc", 0.58, "min", 0.6),
        ("log_loss", 0.65, "max", 0.62),
    ]


def test_a_metric_that_evaluation_does_not_give_is_a_refusal_that_names_those_it_gives():
    with pytest.raises(GateRefused, match=r"(?s)recall +missing +min 0\nevaluation gives auc, brier, log_loss"):
        gate(METRICS, {"recall": {"min": 0}})


@pytest.mark.parametrize(
    "bounds", [{}, {"least": 1}, {"min": nan}, {"max": inf}, {"min": True}, {"min": "0.6"}, {"min": None}]
)
def test_a_gate_that_is_not_understood_is_refused_by_name(bounds: dict):
    with pytest.raises(GateError, match=r"gates\.auc"):
        gate(METRICS, {"auc": bounds})


@given(st.floats(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["min", "max"]))
@example(nan, 0.0, "min")
@example(nan, 0.0, "max")
def test_passing_means_that_the_bound_is_kept(value: float, bound: float, side: str):
    kept = value >= bound if side == "min" else value <= bound
    try:
        gate({"m": value}, {"m": {side: bound}})
    except GateRefused:
        assert not kept
    else:
        assert kept


def test_the_metrics_that_a_model_reports_are_known_without_running_it(tmp_path: Path):
    (tmp_path / "model").mkdir()
    module = tmp_path / "model" / "evaluation.py"
    module.write_text('raise RuntimeError("it was run")\nMETRICS = {"recall": "share found", "auc": "area"}\n')
    assert reported(tmp_path) == ["auc", "recall"]
    module.write_text('METRICS = ("rmse",)\n')
    assert reported(tmp_path) == ["rmse"]


def test_a_model_without_metrics_of_its_own_may_report_those_of_its_answers(tmp_path: Path):
    assert reported(tmp_path) == ["absolute_error", "accuracy", "log_loss", "rows"]


@pytest.mark.parametrize("text", ["METRICS = names()", "METRICS = 5"])
def test_a_model_that_does_not_say_what_it_reports_is_told_how_to(tmp_path: Path, text: str):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "evaluation.py").write_text(text)
    with pytest.raises(GateError, match=r"evaluation\.py does not say what it reports: expected METRICS = "):
        reported(tmp_path)
