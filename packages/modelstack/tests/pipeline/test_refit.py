from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelstack.pipeline import archive
from modelstack.pipeline.build import SealedPackage, StepFailed, build
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.recipe import recipe
from tests.pipeline.conftest import append, appending, resealed

pytestmark = pytest.mark.slow

AFTER_THE_TURN = "2013-02-20"


@pytest.fixture(scope="session")
def refitted(daily: Path) -> SealedPackage:
    """The small model, evaluated after twenty days and refitted on twenty-seven."""
    return build(daily, recipe(daily, {"refit": True}), progress=lambda _: None)


def test_what_was_evaluated_is_sealed_beside_what_serves(champion: SealedPackage, refitted: SealedPackage):
    assert refitted.metrics == champion.metrics
    assert archive.read(refitted.path, "evaluated.joblib") == archive.read(champion.path, "model.joblib")
    assert archive.read(refitted.path, "model.joblib") != archive.read(champion.path, "model.joblib")
    assert archive.read(refitted.path, "baseline.json") == archive.read(champion.path, "baseline.json")
    told = json.loads(archive.read(champion.path, "metrics.json"))["fast_form"]
    assert told == {"why_not": "dict is no estimator of scikit-learn"}
    assert "model.onnx" not in archive.verify(champion.path, champion.digest).content["files"]
    assert "evaluated.joblib" not in archive.verify(champion.path, champion.digest).content["files"]


def test_requests_are_held_against_all_rows_that_what_serves_has_seen(refitted: SealedPackage):
    sealed = json.loads(archive.read(refitted.path, "reference.json"))
    assert sealed["rows"] == 27 * 200
    trained = json.loads(archive.read(refitted.path, "metrics.json"))["training"]
    assert (trained["rows"], trained["evaluated"]["rows"]) == (27 * 200, 20 * 200)
    assert trained["evaluated"]["last_event"] < "2013-01-21" < trained["last_event"] < "2013-01-28"


def test_a_challenger_is_compared_as_it_was_evaluated_and_registered_as_it_serves(
    run, daily: Path, refitted: SealedPackage
):
    plain, report = run(AFTER_THE_TURN), run(AFTER_THE_TURN, refitted)
    assert report.outcome == "better", report.why
    assert report.comparison.challenger == plain.comparison.challenger
    assert report.comparison.champion != plain.comparison.champion, "that which serves, and knows more"
    built = build(daily, recipe(daily, {"refit": True, "until": 43}), progress=lambda _: None)
    assert report.package.package_digest == built.digest


@pytest.mark.parametrize("timed", [True, False])
def test_a_champion_that_was_fitted_on_the_rows_to_compare_on_is_refused(timed: bool, run, daily: Path, tmp_path: Path):
    champion = build(daily, recipe(daily, {"refit": True, "timed": timed}), progress=lambda _: None)
    change = appending("parameters.py", "def retrained(*_):\n    return {'until': 22}")
    report = run(AFTER_THE_TURN, resealed(champion, tmp_path, change))
    assert report.outcome == "refused"
    assert ("was trained on what was known by" if timed else "are trained on too") in report.why


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("training.py", "def refit(rows): ...", r"training.py: refit is found to take 1 values"),
        ("data.py", "refit = lambda settings: {}", r"data.py: refit\(settings\): found dict; expected a table"),
    ],
)
def test_a_second_fit_that_breaks_the_contract_is_refused_in_words(name: str, text: str, said: str, own_daily: Path):
    append(own_daily / "model" / name, f"\n{text}\n")
    with pytest.raises((Refusal, StepFailed), match=said):
        build(own_daily, recipe(own_daily, {"refit": True}), progress=lambda _: None)


def test_a_model_with_a_fit_of_its_own_for_what_serves_is_asked_for_it(own_daily: Path):
    refit = "\n\ndef refit(rows, parameters, trained):\n    return {**trained, 'rows': len(rows)}\n"
    append(own_daily / "model" / "training.py", refit)
    made = build(own_daily, recipe(own_daily, {"refit": True}), progress=lambda _: None)
    served, evaluated = (json.loads(archive.read(made.path, name)) for name in ("model.joblib", "evaluated.joblib"))
    assert served == {**evaluated, "rows": 27 * 200}
