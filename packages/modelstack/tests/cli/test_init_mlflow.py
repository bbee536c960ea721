"""`modelstack model init models:/...`: what MLflow has is told by its digest before it is read, or refused in words."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import pytest
import skops.io
import yaml
from click.testing import CliRunner, Result

from modelstack.cli.init import mlflow_model
from modelstack.cli.main import main
from tests.cli.test_init import boosted, checkout, frame
from tests.records.tracking.small_mlflow import SmallMlflow, small_mlflow

SKLEARN, PYTHON = metadata.version("scikit-learn"), platform.python_version()
SKLEARN_FLAVOUR = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "sklearn_version": SKLEARN}
PYFUNC = {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "python_version": PYTHON}
PINS = f"mlflow==9.9.9\nscikit-learn=={SKLEARN}\nnumpy=={metadata.version('numpy')}\n"
PLACE = "1/models/m-1/artifacts"


class Marked:
    def __reduce__(self) -> Any:
        return (Path("unpickled").touch, ())


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallMlflow]:
    """MLflow with version 1 of the model churn, as `log_model` leaves it, and an empty checkout."""
    monkeypatch.chdir(tmp_path)
    checkout(tmp_path, monkeypatch)
    frame().drop(columns="since").to_csv(tmp_path / "churn.csv", index=False)
    with small_mlflow() as made:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", made.url)
        made.post_registered_models_create({"name": "churn"})
        asked = {"name": "churn", "source": f"mlflow-artifacts:/{PLACE}", "run_id": "run7", "tags": []}
        made.post_model_versions_create(asked)
        made.post_registered_models_alias({"name": "churn", "alias": "best", "version": "1"})
        joblib.dump(boosted(), tmp_path / "model.pkl")
        logged(made, content=(tmp_path / "model.pkl").read_bytes())
        yield made


def logged(known: SmallMlflow, content: bytes, pins: str = PINS, **flavours: Any) -> None:
    told = {"flavors": flavours or {"sklearn": SKLEARN_FLAVOUR, "python_function": PYFUNC}}
    files = {"MLmodel": yaml.safe_dump(told).encode(), "requirements.txt": pins.encode(), "model.pkl": content}
    known.artifacts = {f"{PLACE}/{name}": text for name, text in files.items()}


def typed(uri: str = "models:/churn@best") -> Result:
    words = ("model", "init", uri, "churn.csv", "--label", "churned", "--id", "customer")
    return CliRunner().invoke(main, words)


def refused(uri: str = "models:/churn@best") -> str:
    result = typed(uri)
    assert (result.exit_code != 0 and result.exception is None) or isinstance(result.exception, SystemExit)
    assert not [*Path("root/model").iterdir()]
    assert not Path("unpickled").exists()
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("flavours", [{}, {"python_function": PYFUNC}], ids=["estimator", "pyfunc that it loads"])
@pytest.mark.parametrize("uri", ["models:/churn@best", "models:/churn/1"])
def test_a_logged_estimator_becomes_a_model_under_its_registered_name(
    known: SmallMlflow, uri: str, flavours: dict[str, Any]
) -> None:
    logged(known, Path("model.pkl").read_bytes(), **flavours)
    result = typed(uri)
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(Path("model.pkl").read_bytes()).hexdigest()
    assert f"{uri} is version 1, of run run7: sha256 {digest}" in result.output
    assert "name: churn" in result.output
    assert "HistGradientBoostingClassifier" in Path("root/model/training.py").read_text()


def test_an_estimator_that_skops_wrote_is_read_as_mlflow_writes_it_by_default(known: SmallMlflow) -> None:
    text = skops.io.dumps(boosted())
    flavour = {**SKLEARN_FLAVOUR, "serialization_format": "skops", "pickled_model": "model.skops"}
    logged(known, b"", sklearn=flavour, python_function=PYFUNC)
    known.artifacts[f"{PLACE}/model.skops"] = text
    result = typed()
    assert result.exit_code == 0, result.output
    assert hashlib.sha256(text).hexdigest() in result.output


def test_a_file_of_skops_that_names_anything_else_is_refused_with_its_name(known: SmallMlflow) -> None:
    boosted_by_it = skops.io.dumps({"estimator": boosted(), "beside": Marked()})
    flavour = {**SKLEARN_FLAVOUR, "serialization_format": "skops", "pickled_model": "model.skops"}
    logged(known, b"", sklearn=flavour, python_function=PYFUNC)
    known.artifacts[f"{PLACE}/model.skops"] = boosted_by_it
    said = " ".join(refused().split())
    assert "Marked" in said and "expected types of sklearn, numpy, scipy, functools alone" in said


def test_nothing_is_unpickled_before_its_digest_is_told(known: SmallMlflow) -> None:
    Path("marked.pkl").write_bytes(b"")
    joblib.dump(Marked(), "marked.pkl")
    logged(known, Path("marked.pkl").read_bytes())
    order: list[str] = []
    with mlflow_model.fetched("models:/churn@best", order.append) as path:
        assert len(order) == 1 and not Path("unpickled").exists()
        assert hashlib.sha256(path.read_bytes()).hexdigest() in order[0]
    assert not path.exists()


@pytest.mark.parametrize(
    ("pins", "flavours", "said"),
    [
        (PINS, {"sklearn": SKLEARN_FLAVOUR, "python_function": {**PYFUNC, "python_version": "3.8.1"}},
         f"Python 3.8.1 (here {PYTHON})"),
        ("scikit-learn==0.1\n", {}, f"scikit-learn 0.1 (here {SKLEARN})"),
        (f"{PINS}nonsuch-library==2.0\n", {}, "nonsuch-library 2.0 (here not installed)"),
        ("", {"sklearn": {**SKLEARN_FLAVOUR, "sklearn_version": "0.2"}, "python_function": PYFUNC},
         f"scikit-learn 0.2 (here {SKLEARN})"),
        (PINS, {"sklearn": {**SKLEARN_FLAVOUR, "serialization_format": "joblib"}}, "in the form 'joblib'"),
        (PINS, {"python_function": {**PYFUNC, "loader_module": "mlflow.pyfunc.model"}},
         "found the flavours python_function (loaded by mlflow.pyfunc.model); expected sklearn"),
        (PINS, {"onnx": {}}, "found the flavours onnx; expected sklearn"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_here_is_refused_before_it_is_fetched(
    known: SmallMlflow, pins: str, flavours: dict[str, Any], said: str
) -> None:
    joblib.dump(Marked(), "marked.pkl")
    logged(known, Path("marked.pkl").read_bytes(), pins, **flavours)
    assert said in " ".join(refused().split())
    assert not [call for call in known.calls if call.endswith("model.pkl")]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/churn", "expected models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/churn/latest", "expected models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/churn/7", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/churn@worst", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/nobody/1", "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_a_name_that_names_nothing_is_told(known: SmallMlflow, uri: str, said: str) -> None:
    assert said in refused(uri)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("", "MLFLOW_TRACKING_URI: got '', expected the URL of the MLflow server"),
        (
            "sqlite:///mlflow.db",
            "MLFLOW_TRACKING_URI: got 'sqlite:///mlflow.db', expected the URL of the MLflow server",
        ),
        ("http://127.0.0.1:1", "models:/churn@best cannot be had: http://127.0.0.1:1 does not answer"),
        (None, "found a package that modelstack has sealed"),
    ],
)
def test_where_mlflow_is_has_to_be_said_and_a_sealed_package_is_no_estimator(
    known: SmallMlflow, monkeypatch: pytest.MonkeyPatch, server: str | None, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", known.url if server is None else server)
    known.models["churn"]["versions"][0]["source"] = "s3://bucket/packages/1/model.tar.gz"
    assert said in " ".join(refused().split())
