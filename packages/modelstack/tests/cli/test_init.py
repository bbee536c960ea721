"""`modelstack model init`: what it writes, what it tells, and what it refuses before anything is written."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import InconsistentVersionWarning  # pyrefly: ignore[missing-module-attribute] - no stub
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from modelstack.cli.errors import OperatorError
from modelstack.cli.init import new_model
from modelstack.cli.init.report import gates
from modelstack.cli.main import main
from modelstack.pipeline.build import build
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.rows import Rows
from modelstack.pipeline.step import StepFailed

ROOT = Path(__file__).resolve().parents[4]
COLUMNS = ["plan", "months", "spend", "region"]
WORDS, NUMBERS = ["plan", "region"], ["months", "spend"]


def frame(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(4)
    table = pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(rows)],
            "since": pd.date_range("2026-01-01", periods=rows, freq="6h").strftime("%Y-%m-%dT%H:%M:%S+01:00"),
            "plan": random.choice(["basic", "gold"], rows),
            "months": random.integers(1, 40, rows),
            "spend": random.normal(50, 9, rows).round(2),
            "region": random.choice(["north", "south"], rows),
        }
    )
    return table.assign(churned=np.where(table["months"] < 15, "yes", "no"))


@cache
def boosted() -> Any:
    """An estimator of all features, by their names; fitted once."""
    words = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    columns = ColumnTransformer([("words", words, WORDS), ("numbers", "passthrough", NUMBERS)])
    estimator = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5, random_state=0))
    return estimator.fit(frame()[COLUMNS], frame()["churned"])


def checkout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "root" / "model").mkdir(parents=True)
    (folder / "root" / "requirements").symlink_to(ROOT / "requirements")
    monkeypatch.setattr(new_model, "build", built)
    monkeypatch.setattr("modelstack.cli.commands.packages.project_root", lambda: folder / "root")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an empty model, where nothing is really built, beside a table and an estimator of it."""
    checkout(tmp_path, monkeypatch)
    put(tmp_path, boosted(), frame().drop(columns="since"))
    return tmp_path


def built(folder: Path, recipe: Any, **_: Any) -> SealedPackage:
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["churn.csv"]
    return SealedPackage(Path("/kept/model.tar.gz"), "", "", {"accuracy": 0.9, "log_loss": 0.21, "rows": 12.0}, recipe)


def put(folder: Path, estimator: Any, table: pd.DataFrame) -> None:
    joblib.dump(estimator, folder / "churn.joblib")
    table.to_csv(folder / "churn.csv", index=False)


def init(here: Path, label: str = "churned", **columns: str) -> new_model.NewModel:
    given = new_model.ModelInputs(here / "churn.joblib", here / "churn.csv", label, **{"id": "customer", **columns})
    return new_model.init(here / "root", given, print)


def refused(here: Path, told: str, **more: str) -> OperatorError:
    before = sorted((here / "root").rglob("*"))
    with pytest.raises(OperatorError, match=told) as error:
        init(here, **more)
    assert sorted((here / "root").rglob("*")) == before
    return error.value


def module(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"model.{name}", here / "root" / "model" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, f"model.{name}", loaded)
    spec.loader.exec_module(loaded)
    return loaded


def rows(here: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    module(here, "sources", monkeypatch)
    return Rows.of(module(here, "data", monkeypatch).training(None))


@pytest.mark.slow
def test_what_is_written_reads_the_whole_table_and_trains_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = boosted()
    written = [file.partition(" ")[0] for file in init(here).files]
    assert sorted(written) == [
        "data/churn.csv",
        *(f"model/{name}" for name in ("__init__.py", "data.py", "estimator.pickle", "example_request.json")),
        *("model/sources.py", "model/training.py"),
    ]
    found = rows(here, monkeypatch)
    assert (list(found.columns), found.id.tolist()) == (COLUMNS, frame()["customer"].tolist())
    training = module(here, "training", monkeypatch)
    trained = training.train(found, None)
    assert np.array_equal(trained.predict_proba(found.table), before.predict_proba(frame()[COLUMNS]))
    (files,) = module(here, "sources", monkeypatch).files().values()
    assert files.read_bytes() == (here / "churn.csv").read_bytes()


@pytest.mark.slow
def test_what_is_written_is_formatted_and_clean(here: Path) -> None:
    put(here, boosted(), frame())
    init(here, time="since")
    for words in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        done = subprocess.run([*command, str(here / "root" / "model")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_times_become_those_of_events_in_utc(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here, boosted(), frame())
    made = init(here, time="since")
    found = rows(here, monkeypatch)
    assert str(found.event_time[0]).startswith("2025-12-31T23:00:00")
    assert "label_at in model/data.py is since: change it if labels are known only later" in made.notes


def test_columns_are_chosen_and_ordered_as_the_estimator_was_fitted_from_a_table_that_may_be_in_place(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(here, boosted(), frame()[["churned", "region", "since", "customer", *COLUMNS[:3]]])
    (here / "root" / "data").mkdir()
    table = (here / "churn.csv").rename(here / "root" / "data" / "churn.csv")
    given = new_model.ModelInputs(here / "churn.joblib", table, "churned", None, "customer")
    made = new_model.init(here / "root", given, print)
    assert "since: left out, because the estimator was not fitted on it" in made.notes
    assert list(rows(here, monkeypatch).columns) == COLUMNS


def test_an_estimator_fitted_on_an_array_takes_all_columns_and_a_seed_that_it_has_not(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = frame()[["customer", *NUMBERS, "churned"]]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(table[NUMBERS].to_numpy(), table["churned"])
    put(here, fitted, table)
    assert "logisticregression__random_state: set to 0, so that each training has the same outcome" in init(here).notes
    assert list(rows(here, monkeypatch).columns) == NUMBERS
    made = module(here, "training", monkeypatch).estimator()
    assert str(made) == str(clone(fitted).set_params(logisticregression__random_state=0))
    assert fitted[-1].random_state is None, "the person's own is not changed"


def on_an_array() -> tuple[Any, pd.DataFrame]:
    return LogisticRegression().fit(frame()[NUMBERS].to_numpy(), frame()["churned"]), frame().assign(age=3)[
        ["customer", *NUMBERS, "age", "churned"]
    ]


def on_dummies() -> tuple[Any, pd.DataFrame]:
    return LogisticRegression(max_iter=500).fit(pd.get_dummies(frame()[COLUMNS]), frame()["churned"]), frame()


def on_categories() -> tuple[Any, pd.DataFrame]:
    table = frame().assign(plan=frame()["plan"].astype("category"))
    return HistGradientBoostingClassifier(max_iter=2).fit(table[["plan", "months"]], table["churned"]), frame()


def on_a_column(name: str) -> tuple[Any, pd.DataFrame]:
    table = frame().rename(columns={"spend": name})
    return LogisticRegression().fit(table[["months", name]], table["churned"]), table


def of_two_labels(kind: Any) -> tuple[Any, pd.DataFrame]:
    return kind().fit(frame()[["months"]], (frame()[NUMBERS] > 20).astype(int)), frame()


def of(**columns: Any) -> Callable[[], tuple[Any, pd.DataFrame]]:
    return lambda: (boosted(), frame().assign(**columns))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("makes", "told"),
    [
        (of(churned=None), "csv: column 'churned': found 60 rows without a value; expected one"),
        (
            of(churned="maybe"),
            "csv: column 'churned': found the labels maybe; expected the estimator's classes, no, yes",
        ),
        (of(customer="c1"), "csv: column 'customer': found c1 twice; expected another name"),
        (of(since="31.12.2026"), "csv: column 'since': found '31.12.2026'; expected dates or times such as 2026-01-31"),
        (of(since=2026), "csv: column 'since': found numbers, such as 2026; expected dates"),
        (of(spend="much"), r"csv: the estimator cannot answer its rows \(ValueError: .*\); expected the table that it"),
        (lambda: (boosted(), frame().head(0)), "csv: found no rows; expected at least one"),
        (on_an_array, "csv: found 3 columns of features, months, spend, age; expected 2: the estimator was fitted on"),
        (on_dummies, "csv: found no column plan_basic, plan_gold, region_north, region_south, which the estimator"),
        (
            lambda: on_a_column("id"),
            "csv: found id among the features; expected another name, as id, label, event_time",
        ),
        (lambda: on_a_column("mês"), "csv: found the column 'mês'; expected a name of up to 200 characters of ASCII"),
        (lambda: of_two_labels(Ridge), "csv: the estimator answers 2 values for each row; expected one"),
        (lambda: of_two_labels(DecisionTreeClassifier), "csv: the estimator answers 2 values for each row"),
        (lambda: (LogisticRegression(), frame()), "joblib: found a LogisticRegression that is not fitted; expected a"),
        (lambda: (PCA(1).fit(frame()[NUMBERS]), frame()), "joblib: found a PCA; expected a fitted classifier or"),
        (lambda: ({"a": 1}, frame()), "joblib: found a dict; expected"),
    ],
)
def test_an_estimator_and_a_table_that_cannot_be_used_are_refused_by_the_file_and_what_is_wrong_in_it(
    here: Path, makes: Callable[[], tuple[Any, pd.DataFrame]], told: str
) -> None:
    put(here, *makes())
    error = refused(
        here, rf"^{re.escape(str(here))}/churn\.{told}", **({} if makes is on_an_array else {"time": "since"})
    )
    assert makes is not on_dummies or "get_dummies, belongs into the estimator" in str(error.hint)


@pytest.mark.slow
def test_an_estimator_of_pandas_categories_is_refused_with_what_to_do(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_model, "build", build)
    put(here, *on_categories())
    found = "could not convert string to float: '[a-z]+'; texts that pandas has as categories are plain texts here"
    refused(here, rf"(?s)make no model that can be released: train refused: .*{found}")


def test_a_changed_file_of_the_estimator_is_not_unpickled(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(here)
    path = here / "root" / "model" / "estimator.pickle"
    path.write_bytes(path.read_bytes() + b".")
    module(here, "sources", monkeypatch)
    with pytest.raises(
        ValueError, match=r"estimator.pickle: found sha256 \w{64}; expected \w{64}, as training.py says"
    ):
        module(here, "training", monkeypatch).estimator()


def test_the_libraries_of_an_estimator_are_imported_so_that_their_versions_count(here: Path) -> None:
    init(here)
    text = (here / "root" / "model" / "training.py").read_text()
    assert re.findall(r"^import (\w+)  # noqa: F401", text, re.MULTILINE) == ["numpy", "sklearn"]
    assert "#                  HistGradientBoostingClassifier(max_iter=5, random_state=0))])" in text
    digest = hashlib.sha256((here / "churn.joblib").read_bytes()).hexdigest()
    assert f"read from churn.joblib, a file of sha256\n{digest}" in text


def test_functions_of_ones_own_are_refused_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModuleType("churn_features")
    exec("def ratio(values):\n    return values", own.__dict__)
    monkeypatch.setitem(sys.modules, "churn_features", own)
    table = frame()[["customer", *NUMBERS, "churned"]]
    estimator = make_pipeline(FunctionTransformer(own.__dict__["ratio"]), LogisticRegression())
    put(here, estimator.fit(table[NUMBERS], table["churned"]), table)
    refused(here, "app.txt does not lock churn_features, which model/training.py imports: add it to requirements")
    monkeypatch.setattr(
        "modelstack.cli.init.estimator.joblib.load",
        lambda _: estimator.set_params(functiontransformer__func=lambda x: x),
    )
    refused(here, "churn.joblib: a part of it cannot be stored .*lambda.*; expected parts of installed libraries alone")


def test_a_regressor_needs_labels_that_are_numbers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here, Ridge().fit(frame()[["months"]], frame()["spend"]), frame()[["customer", "months", "spend", "churned"]])
    refused(here, r"churn.csv: column 'churned': found '(yes|no)'; expected numbers, as the estimator is a regressor")
    assert "churned: left out, because the estimator was not fitted on it" in init(here, label="spend").notes
    label = rows(here, monkeypatch).label
    assert np.array_equal(label, frame()["spend"])


@pytest.mark.slow
def test_of_a_search_the_best_estimator_is_taken_and_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.01, 5.0]})
    table = frame()[["customer", *NUMBERS, "churned"]]
    search.fit(table[NUMBERS], table["churned"])
    put(here, search, table)
    assert init(here).notes[0] == (
        "churn.joblib holds a GridSearchCV: its best_estimator_ is taken, and the search is not repeated"
    )
    made = module(here, "training", monkeypatch).estimator()
    assert search.best_params_["logisticregression__C"] == made.named_steps["logisticregression"].C


def test_a_request_is_written_of_a_row_that_lacks_nothing(here: Path) -> None:
    table = frame().drop(columns="since")
    table.loc[0, "region"] = np.nan
    put(here, boosted(), table)
    assert init(here).example == "model/example_request.json"
    asked = json.loads((here / "root" / "model" / "example_request.json").read_bytes())
    assert asked == {"instances": [json.loads(table.loc[1, COLUMNS].to_json())]}


def gappy(columns: list[str]) -> tuple[Any, pd.DataFrame]:
    """An estimator whose one imputer fills these columns, and a table in which a text and a truth lack values."""
    table = frame().drop(columns="since").assign(vip=[True, False] * 30)
    table = table.astype({"vip": object})
    table.loc[[4, 9], "vip"] = np.nan
    table.loc[2, "region"] = np.nan
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    estimator = make_pipeline(ColumnTransformer([("filled", words, columns)]), LogisticRegression())
    return estimator.fit(table[["region", "vip", "spend"]], table["churned"]), table


VIP = "found no value in 2 of 60 rows, the first of them row 5, beside true and false"
REGION = "found no value in 1 of 60 rows, the first of them row 3, beside texts"


def test_columns_that_lack_texts_or_truths_are_named_where_a_build_fails(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> SealedPackage:
        raise StepFailed("train", "failed: ValueError: SimpleImputer does not support data")

    monkeypatch.setattr(new_model, "build", fails)
    put(here, *gappy(["region", "vip"]))
    hint = refused(here, "churn.csv make no model that can be released: train failed: .*SimpleImputer").hint
    then = "; if that is why, fill it before the fit, or by a SimpleImputer for it alone."
    assert hint == f"Nothing was written. Column 'region': {REGION}{then} Column 'vip': {VIP}{then}"


def test_an_estimator_of_another_scikit_learn_is_told(here: Path) -> None:
    def load(path: Path) -> Any:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name="Ridge", current_sklearn_version="1.9", original_sklearn_version="1.2"
            ),
            stacklevel=1,
        )
        return boosted()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelstack.cli.init.estimator.joblib.load", load)
        assert init(here).notes[0] == "churn.joblib was made with scikit-learn 1.2; what is built is fitted with 1.9"


def test_nothing_is_written_over_a_model_or_a_table(here: Path) -> None:
    (here / "root" / "model" / "deep").mkdir()
    (here / "root" / "model" / "deep" / "own.py").touch()
    hint = refused(here, r"model/ holds deep/own.py; expected no file").hint
    assert "find model -mindepth 1 -delete" in hint
    (here / "root" / "model" / "deep" / "own.py").unlink()
    (here / "root" / "data").mkdir()
    (here / "root" / "data" / "churn.csv").write_text("another\n")
    refused(here, r"data/churn.csv exists, and is another file than .*churn.csv")
    (here / "churn.csv").write_text("another\n")
    refused(here, "found no column 'churned' for --label; expected one of another")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": "chruned"}, "found no column 'chruned' for --label; expected one of customer, plan"),
        ({"time": "when"}, "found no column 'when' for --time"),
        ({"id": "churned"}, "--label, --id name one column twice"),
        (
            {"id": "plan"},
            r"found no column plan, which the estimator was fitted on \(plan is --id\); expected all of plan",
        ),
    ],
)
def test_a_column_that_is_not_there_is_told_with_those_that_are(here: Path, columns: dict[str, str], told: str) -> None:
    refused(here, told, **columns)


def test_code_that_is_not_here_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ModuleType("churn_features")
    exec("class Ratio: ...", gone.__dict__)
    monkeypatch.setitem(sys.modules, "churn_features", gone)
    kept = pickle.dumps(gone.__dict__["Ratio"]())
    gone.__dict__.pop("Ratio")
    (here / "churn.joblib").write_bytes(kept)
    assert "by hand" in str(refused(here, r"it needs code that is not here \(.*Ratio").hint)
    monkeypatch.delitem(sys.modules, "churn_features")
    assert "requirements/app.in" in str(
        refused(here, "it needs the module churn_features, which is not installed").hint
    )
    (here / "churn.joblib").write_bytes(b"no pickle")
    refused(here, r"churn.joblib cannot be read \(.*\); expected what joblib.dump, pickle.dump or skops.io.dump wrote")


def test_the_command_tells_files_gates_next_commands_and_parts(here: Path) -> None:
    words = ["model", "init", str(here / "churn.joblib"), str(here / "churn.csv"), "--label", "churned"]
    done = CliRunner().invoke(main, [*words, "--id", "customer"])
    assert done.exit_code == 0, done.output
    assert "model/training.py (" in done.stdout
    assert "data/churn.csv" in done.stdout
    assert "rows 12, on rows that were kept back; what serves is a new fit on the others" in done.stdout
    section = done.stdout.partition("by this one:\n\n")[2].partition("\nthen type:")[0]
    assert yaml.safe_load(section) == {
        "modelstack:model": {"name": "churn", "gates": {"accuracy": {"min": 0.88}, "log_loss": {"max": 0.26}}}
    }
    invoke = "modelstack invoke model/example_request.json"
    for line in ("modelstack serve /kept/model.tar.gz", "python -m modelstack.pipeline build", "pulumi up", invoke):
        assert line in done.stdout
    assert re.search("features.py +FEATURES +- +units, and the values", done.stdout)
    again = CliRunner().invoke(main, [*words, "--id", "customer"])
    assert (again.exit_code, "model/ holds __init__.py and 5 more files" in again.stderr) == (1, True)


def test_gates_leave_room_and_are_never_better_than_what_was_found() -> None:
    assert gates({"accuracy": 1.0, "log_loss": 0.0012}) == {"accuracy": "{min: 0.94}", "log_loss": "{max: 0.0015}"}
    assert gates({"absolute_error": 1234.0, "rows": 3.0}) == {"absolute_error": "{max: 1500}"}
    assert gates({"accuracy": 0.1, "log_loss": 0.0}) == {"accuracy": "{min: 0}", "log_loss": "{max: 0.01}"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Churn_v2.joblib", "churn-v2"),
        ("2026.pkl", "model-2026"),
        (f"{'a' * 23}-b.joblib", "a" * 23),
        ("ü.pkl", "model"),
    ],
)
def test_the_name_is_one_that_the_stack_allows(file: str, name: str) -> None:
    assert new_model._name(Path(file)) == name
