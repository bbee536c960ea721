"""Which libraries the step `seal` requires of the image that serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelstack.pipeline.archive import OTHER_LIBRARY
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.seal import check_served


@pytest.mark.parametrize(
    ("why", "held", "lacks"),
    [
        (f"CatBoostClassifier {OTHER_LIBRARY}", "joblib", ""),
        (f"CatBoostClassifier {OTHER_LIBRARY}", "numpy", "joblib"),
        ("skl2onnx has no converter for TargetEncoder", "joblib", "joblib and scikit-learn"),
    ],
)
def test_only_an_estimator_of_scikit_learn_needs_it_to_serve(why: str, held: str, lacks: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "serving.txt").write_text(f"{held}==1.0\n")
    (tmp_path / "metrics.json").write_text(json.dumps({"fast_form": {"why_not": why}}))
    if not lacks:
        check_served(tmp_path, tmp_path)
        return
    with pytest.raises(Refusal) as refused:
        check_served(tmp_path, tmp_path)
    assert f"no fast form (ONNX): {why}. So its server loads the estimator itself: add {lacks} to" in str(refused.value)


def test_a_booster_that_serves_itself_is_named_among_what_its_server_needs(tmp_path: Path) -> None:
    for name, text in {
        "model/__init__.py": "",
        "model/training.py": "import lightgbm\n",
        "requirements/serving.txt": "numpy==1.0\n",
        "requirements/app.txt": "lightgbm==4.7.0\n",
        "metrics.json": json.dumps({"fast_form": {"why_not": "LightGBM takes 0 as missing"}}),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(Refusal, match="add joblib, scikit-learn and lightgbm to requirements/serving"):
        check_served(tmp_path, tmp_path)
