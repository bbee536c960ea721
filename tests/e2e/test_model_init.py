"""`modelstack model init`: from a fitted estimator and its table to a sealed package that answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pipeline import archive
from tests.e2e.test_own_model import INIT, PAGE, Checkout, copied
from tests.serving.packages import served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

WORDS = ["plan", "region"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the default model."""
    return copied(tmp_path_factory.mktemp("init") / "checkout")


def customers(rows: int = 400) -> pd.DataFrame:
    """Who left, by plan, region and months: with texts and numbers that are missing, in order of time."""
    random = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "asked": pd.date_range("2026-01-01", periods=rows, freq="6h", tz="UTC"),
            "plan": random.choice(["basic", "gold"], rows),
            "months": random.integers(1, 40, rows).astype(float),
            "region": random.choice(["north", "south"], rows),
        }
    )
    left = (table["months"] < 15) ^ (random.random(rows) < 0.1)
    table.loc[random.random(rows) < 0.1, "months"] = np.nan
    table.loc[random.random(rows) < 0.1, "region"] = None
    return table.assign(left=left)


def fitted(table: pd.DataFrame) -> GridSearchCV:
    """A search over a forest, as a person has it: columns by name and by type, and texts that are filled in."""
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_column_selector(dtype_include=np.number)
    columns = ColumnTransformer([("words", words, WORDS), ("numbers", SimpleImputer(strategy="median"), numbers)])
    forest = make_pipeline(columns, RandomForestClassifier(n_estimators=5, random_state=3))
    search = GridSearchCV(forest, {"randomforestclassifier__max_depth": [2, 4]}, cv=2)
    return search.fit(table.drop(columns=["asked", "left"]), table["left"])


def init(checkout: Checkout, commands: str) -> tuple[str, Path]:
    """What the command prints, and the package that it names."""
    said = checkout.type(commands)
    return said, Path(re.findall("modelstack serve (\\S+)", said)[0])


def test_the_page_goes_from_a_fitted_estimator_to_a_package(checkout: Checkout) -> None:
    (script,) = re.findall(r"```python\n(import joblib\n.*?)```", PAGE, re.DOTALL)
    (checkout.root / "fit.py").write_text(script)
    said, path = init(checkout, f"python fit.py\n{INIT}")
    section = yaml.safe_load(said.partition("by this one:\n\n")[2].partition("\nthen type:")[0])
    (model,) = section.values()
    assert (model["name"], model["gates"].keys()) == ("wine", {"accuracy", "log_loss"})
    assert sum(int(lines) for lines in re.findall(r"\((\d+) lines\)", said)) in range(70, 90), "as the page says"
    gates = json.dumps(model["gates"])
    told, _, built = checkout.type(f"python -m pipeline build --gates '{gates}'").partition("{")
    assert json.loads("{" + built)["path"] == str(path)
    assert "train" not in told and "seal:" not in told, "what was tried is what was written: nothing is built again"


def test_a_model_of_texts_and_times_answers_as_the_estimator_that_was_given(checkout: Checkout, tmp_path: Path) -> None:
    table = customers()
    search = fitted(table)
    joblib.dump(search, checkout.root / "churn.joblib")
    table.to_csv(checkout.root / "churn.csv", index=False)
    empty = "mkdir -p data\nfind model data -mindepth 1 -delete"
    _, path = init(checkout, f"{empty}\nmodelstack model init churn.joblib churn.csv --label left --time asked")
    assert json.loads(checkout.type("python -m pipeline build"))["path"] == str(path)

    features, known = table.drop(columns=["asked", "left"]), len(table) * 4 // 5
    again: Any = clone(search.best_estimator_).fit(features[:known], table["left"][:known])
    asked = features[known:]
    instances = json.loads(asked.to_json(orient="records"))
    manifest = archive.verify(path)
    archive.unpack(path, tmp_path / "model")
    with served(tmp_path / "model", manifest.sha256) as server:
        answers = server.predictions(*instances)
    found = [answer["probability"]["true"] for answer in answers]
    assert np.allclose(found, again.predict_proba(asked)[:, 1], atol=1e-6)
    assert [answer["prediction"] for answer in answers] == again.predict(asked).tolist()
