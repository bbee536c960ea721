"""What a prediction and its label give, against values worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.labels.quality import Form, UnreadableForm, UnreadableLabel

ROOT = Path(__file__).resolve().parents[5]
LATE = Form.from_dict(json.loads((ROOT / "model" / "answer.json").read_text()))
KINDS = Form.from_dict(
    {"kind": "classification", "classes": ["cat", "dog", "cow"], "decision": "is", "probability": "shares"}
)
MINUTES = Form.from_dict({"kind": "regression", "value": "minutes", "largest_error": 60})


def losses(form: Form, prediction: dict[str, Any], label: object) -> dict[str, float]:
    kept = json.loads(json.dumps(form.said(prediction)))  # as it lies in the ledger
    return Form.from_dict(json.loads(json.dumps(form.as_dict()))).losses(kept, form.label(label))


@pytest.mark.parametrize(
    ("late", "probability", "label", "accuracy", "log_loss"),
    [
        (True, 0.8, True, 1.0, 0.2231),
        (True, 0.8, False, 0.0, 1.6094),
        (False, 0.25, False, 1.0, 0.2877),
        (False, 0.25, 1, 0.0, 1.3863),
        (False, 0.25, 0, 1.0, 0.2877),
        (True, 1.0, False, 0.0, 5.0),
        (True, 1.0, True, 1.0, 0.0),
        (True, 0.999, False, 0.0, 5.0),
        (False, None, False, 1.0, 5.0),
        (None, 0.5, False, 0.0, 0.6931),
        ("false", "0.5", False, 0.0, 5.0),
        (False, 1.5, False, 1.0, 5.0),
        (False, -0.5, True, 0.0, 5.0),
    ],
)
def test_a_decision_between_two_classes_is_right_or_wrong_and_its_probability_costs_nats(
    late: Any, probability: Any, label: Any, accuracy: float, log_loss: float
) -> None:
    found = losses(LATE, {"late": late, "probability": probability}, label)
    assert found == {"Accuracy": accuracy, "LogLoss": pytest.approx(log_loss, abs=1e-4)}


def test_several_classes_have_a_probability_each() -> None:
    said = {"is": "dog", "shares": {"cat": 0.2, "dog": 0.5, "cow": 0.3}}
    assert losses(KINDS, said, "dog") == {"Accuracy": 1.0, "LogLoss": pytest.approx(math.log(2))}
    assert losses(KINDS, said, "cow")["LogLoss"] == pytest.approx(-math.log(0.3))
    assert losses(KINDS, {"is": "dog", "shares": 0.5}, "dog")["LogLoss"] == 5.0


@pytest.mark.parametrize(("value", "error"), [(10, 5), (15.0, 0), (-100, 60), (None, 60), ("12", 60), (True, 60)])
def test_a_number_is_off_by_so_much_and_at_most_by_the_largest_error(value: Any, error: float) -> None:
    assert losses(MINUTES, {"minutes": value}, 15) == {"AbsoluteError": error}


def test_without_a_probability_there_is_no_log_loss() -> None:
    form = Form.from_dict({"kind": "classification", "classes": [False, True], "decision": "late"})
    assert losses(form, {"late": True}, True) == {"Accuracy": 1.0}


@pytest.mark.parametrize("label", ["true", None, 2, [True], {}])
def test_a_label_that_is_no_class_is_refused_by_name(label: Any) -> None:
    with pytest.raises(UnreadableLabel, match=r"label: got .*, expected one of false, true"):
        LATE.label(label)


@pytest.mark.parametrize("label", ["15", None, True, float("nan")])
def test_a_label_that_is_no_number_is_refused(label: Any) -> None:
    with pytest.raises(UnreadableLabel, match="expected a number"):
        MINUTES.label(label)


@pytest.mark.parametrize(
    ("form", "what"),
    [
        (None, "expected an object"),
        ({}, "kind: got None, expected classification or regression"),
        ({"kind": "classification", "decision": "late"}, "classes: got None"),
        ({"kind": "classification", "decision": "late", "classes": [True]}, "two labels or more"),
        ({"kind": "classification", "classes": [False, True]}, "decision: got None"),
        ({"kind": "classification", "classes": [False, True], "decision": "late", "probability": 1}, "probability"),
        (
            {"kind": "classification", "classes": [False, True], "decision": "late", "proba": "p"},
            "proba: no such field",
        ),
        ({"kind": "regression", "value": "minutes"}, "largest_error: got None, expected a number above 0"),
        ({"kind": "regression", "value": "", "largest_error": 1}, "value: got ''"),
    ],
)
def test_a_form_that_cannot_be_used_names_its_field(form: Any, what: str) -> None:
    with pytest.raises(UnreadableForm, match=what):
        Form.from_dict(form)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(anything, anything, st.sampled_from([LATE, KINDS, MINUTES]), st.integers(0, 1))
def test_whatever_a_model_says_has_losses_within_their_ranges(one: Any, other: Any, form: Form, choice: int) -> None:
    prediction = {"late": one, "probability": other, "is": one, "shares": other, "minutes": one}
    label = form.classes[choice] if form.classes else float(choice)
    found = form.losses(form.said(prediction), label)
    assert 0 <= found.get("LogLoss", 0) <= 5
    assert found.get("Accuracy", 0) in {0, 1}
    assert 0 <= found.get("AbsoluteError", 0) <= 60
