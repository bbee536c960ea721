from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from modelstack.monitoring.labels.quality import Form
from modelstack.pipeline import archive, parts
from modelstack.pipeline.build import SealedPackage, StepFailed, build
from modelstack.pipeline.outline import check
from modelstack.pipeline.recipe import recipe
from modelstack.serving.fast_form import load
from tests.pipeline.conftest import ROOT, checkout_of
from tests.process import printed
from tests.serving.packages import served

AFTER_THE_TURN = "2013-02-20"
LEAST = {
    "__init__.py": "",
    "data.py": "from sklearn.datasets import load_diabetes\n\ndef training(settings):\n"
    "    raw = load_diabetes(as_frame=True)\n    return raw.data.assign(label=raw.target)\n",
    "training.py": "from sklearn.linear_model import Ridge\n\ndef train(rows, settings):\n"
    "    return Ridge().fit(rows.table, rows.label)\n",
}
SURVEY = """
import numpy as np

def _years(first, end):
    random = np.random.default_rng(1)
    year = np.repeat(np.arange(2015, 2019), 3000)
    x = random.normal(size=len(year))
    at = np.array([f"{one}-01-01" for one in range(2015, 2019)], "datetime64[s]")[year - 2015]
    chosen = (year >= first) & (year < end)
    table = {"x": x, "label": x + random.normal(size=len(x)) > 0, "event_time": at, "label_at": at}
    return {name: values[chosen] for name, values in table.items()}

def training(settings):
    return _years(2015, 2018)

def evaluation(settings):
    return _years(2018, 2019)
"""
BOOSTED = """
from sklearn.linear_model import LogisticRegression

def train(rows, settings):
    return LogisticRegression().fit(rows.table, rows.label)
"""


def model_of(folder: Path, files: Mapping[str, str]) -> Path:
    own = folder / "files"
    own.mkdir()
    for name, text in files.items():
        (own / name).write_text(text)
    return checkout_of(own, folder / "checkout")


def quietly(root: Path, parameters: Mapping[str, Any] | None = None, workdir: Path | None = None) -> SealedPackage:
    return build(root, recipe(root, parameters or {}), workdir=workdir, progress=lambda _: None)


def inside(sealed: SealedPackage, name: str) -> Any:
    return json.loads(archive.read(sealed.path, name))


@pytest.mark.e2e
def test_two_functions_are_a_model_that_trains_is_scored_is_sealed_and_answers(tmp_path: Path):
    root = model_of(tmp_path, LEAST)
    check(root)
    sealed = quietly(root, workdir=tmp_path / "once")
    assert 30 < sealed.metrics["absolute_error"] < 90
    assert inside(sealed, "metrics.json")["training"]["rows"] + sealed.metrics["rows"] == 442, "a fifth is kept back"
    form = Form.from_dict(inside(sealed, "answer.json"))
    assert (form.kind, form.value, form.largest_error) == ("regression", "prediction", 321.0)
    archive.unpack(sealed.path, tmp_path / "served")
    with served(tmp_path / "served", sealed.manifest_sha256) as server:
        (prediction,) = server.predictions(*inside(sealed, "example.json")["instances"])
    said = prediction["prediction"]
    assert 25 < said < 346
    fast, (row,) = load(archive.read(sealed.path, "model.onnx")), inside(sealed, "example.json")["instances"]
    asked = [row[one["name"]] for one in inside(sealed, "features.json")]
    assert fast.predict(np.array([asked])) == pytest.approx(said, rel=1e-12)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "training.py",
            "def train(rows, settings):\n    return 'a model'\n",
            "training.py: train(rows, settings): found str",
        ),
        ("data.py", LEAST["data.py"].replace("label=", "target="), "data.py: found no column label; expected one"),
    ],
)
def test_what_cannot_be_found_out_is_asked_for_in_words(tmp_path: Path, name: str, text: str, said: str):
    root = model_of(
        tmp_path, {**LEAST, "training.py": LEAST["training.py"].replace("rows.label", "range(len(rows))"), name: text}
    )
    with pytest.raises(StepFailed) as refused:
        quietly(root)
    assert f"model/{said}" in str(refused.value)


def test_a_model_with_the_usual_server_is_retrained_by_what_is_found_out(run, daily: Path, tmp_path: Path):
    own = {name: (daily / "model" / name).read_text() for name in ("__init__.py", "data.py", "parameters.py")}
    root = model_of(tmp_path, {**own, "training.py": BOOSTED})
    champion = quietly(root, {"refit": True})
    report = run(AFTER_THE_TURN, champion)
    assert report.outcome == "better", report.why
    assert report.comparison.challenger == pytest.approx(report.package.metrics["log_loss"], abs=1e-9)
    assert set(champion.metrics) == {"accuracy", "log_loss", "rows"}
    served, evaluated = (archive.read(champion.path, name) for name in ("model.joblib", "evaluated.joblib"))
    assert served != evaluated, "without a fit of its own for what serves it is trained again"
    x = np.array([[0.3]])
    fast = load(archive.read(champion.path, "model.onnx")).predict_proba(x)
    known, before = (joblib.load(io.BytesIO(one)).predict_proba(x) for one in (served, evaluated))
    assert fast == pytest.approx(known, abs=1e-12), "the fast form is of what serves"
    assert known != pytest.approx(before, abs=1e-6)


@pytest.mark.e2e
def test_a_yearly_survey_with_one_date_a_year_is_sealed_with_what_its_concept_is_judged_by(tmp_path: Path):
    said: list[str] = []
    root = model_of(tmp_path, {"__init__.py": "", "data.py": SURVEY, "training.py": BOOSTED})
    sealed = build(root, recipe(root, {}), workdir=tmp_path / "once", progress=said.append)
    found = inside(sealed, "baseline.json")["usual"]
    assert (found["cut"], found["wave"]) == ({"span": 0.0, "rows": 46}, 1514764800.0)
    assert any("65 blocks of evaluation (46 rows each, cut within a wave); with the default" in line for line in said)


def replayed(root: Path, arguments: str) -> list[Any]:
    code = (
        "import json; from itertools import islice; from modelstack.pipeline import parts; "
        f"found = islice(parts.replay({arguments}), 400); "
        "print(json.dumps([[one.id, str(one.event_time), one.instance, one.label] for one in found]))"
    )
    return json.loads(printed(code, cwd=root))


@pytest.mark.slow
def test_a_model_without_events_replays_its_rows_over_and_over(wine: Path):
    found = replayed(wine, "")
    assert len({name for name, *_ in found}) == 400
    assert {name.rpartition("-")[0] for name, *_ in found} == {f"wine-{number}" for number in range(178)}
    assert {label for *_, label in found} == {"class_0", "class_1", "class_2"}
    assert set(found[0][2]) >= {"alcohol", "proline"}


@pytest.mark.slow
def test_rows_with_times_are_replayed_in_order_from_the_first_that_training_has_not_seen(daily: Path):
    found = replayed(daily, "")
    assert [at for _, at, *_ in found] == sorted(at for _, at, *_ in found)
    assert found[0][1] == "2013-01-21 00:00:00+00:00"
    chosen = replayed(daily, "'2013-01-02', '2013-01-03'")
    assert {at[:10] for _, at, *_ in chosen} == {"2013-01-02"}
    assert len(chosen) == 200


def test_an_estimator_that_holds_another_is_the_one_that_was_fitted():
    search = GridSearchCV(Ridge(), {"alpha": [1, 2]})
    assert parts.fitted(search) == parts.Trained(search)
    assert parts.fitted(SimpleNamespace(estimator=search, trials=[1])) == parts.Trained(search, (1,))


def test_the_model_of_the_page_takes_less_than_a_hundred_lines():
    files = [path for path in (ROOT / "packages/modelstack/tests" / "e2e" / "wine").iterdir() if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in files) < 100
