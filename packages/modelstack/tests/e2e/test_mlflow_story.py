"""A stack and a real MLflow server of the locked environment: builds, verdicts, outlines, and the other way round.

Each test goes on where the one before ended. What MLflow knows is asked by its own client, which is no part of the
project.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn
import yaml
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.bed import Bed
from localcloud.setup import Installer, Places, cached
from modelstack.cli.errors import OperatorError
from modelstack.cli.init.estimator import read
from modelstack.cli.init.mlflow_model import fetched
from modelstack.cli.local.mlflow_server import MlflowServer, stop
from modelstack.cli.local.stack import Stack
from modelstack.records.tracking.api import opened
from modelstack.records.tracking.connection import bearer
from modelstack.records.tracking.logged import Shelf, log_build
from modelstack.records.tracking.mirror import SETTLED, mirror
from tests.e2e.conftest import FEW, QUICK, advance, having, journal, succeeded, typed
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.records.tracking.test_mirror import build, manifest, promoted
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

MODEL = "flight-delay-local"
PINS = [f"scikit-learn=={sklearn.__version__}", f"mlflow=={mlflow.__version__}"]
"""What MLflow would else find out, in a process of its own."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowServer, int]]:
    """A server that runs, and its port; it is ended at the end, whatever a test did with it."""
    places = Places.of(ROOT)
    made = MlflowServer(tmp_path_factory.mktemp("mlflow"), cached(places, Installer(places), places.lock("mlflow")))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        made.start(port)
        yield made, port
    finally:
        stop(made.folder)


@pytest.fixture(scope="module")
def told(server: tuple[MlflowServer, int]) -> MlflowClient:
    return MlflowClient(f"http://127.0.0.1:{server[1]}")


@pytest.fixture(scope="module")
def versions(story: Bed, server: tuple[MlflowServer, int]) -> list[Stack]:
    """Two versions of a small model, on a stack that is shown in MLflow."""
    first = having(story.stack.with_parameters(story.folder, **SMALL), QUICK, capture_percent=FEW)
    assert first.config is not None
    content = yaml.safe_load(first.config.read_text())
    content["config"]["modelstack:mlflow"] = {"server": f"http://127.0.0.1:{server[1]}"}
    first.config.write_text(yaml.safe_dump(content))
    return [first.with_parameters(story.folder, max_iter=trees) for trees in (5, 6)]


def shown(stack: Stack) -> None:
    """Update until MLflow is told: on a busy machine it may answer too late for one update, and the next tells it."""
    outputs = [succeeded(stack.up()).output]
    while "MLflow does not know of" in outputs[-1] and len(outputs) < 4:
        outputs.append(succeeded(stack.up()).output)
    assert "MLflow does not know of" not in outputs[-1], outputs[-1][-2000:]


def weights(told: MlflowClient, run_id: str) -> list[float]:
    found = told.get_metric_history(run_id, "rollout_weight")
    return [one.value for one in sorted(found, key=lambda one: one.timestamp)]


def test_the_first_release_is_a_run_and_a_version_and_champion(
    story: Bed, versions: list[Stack], told: MlflowClient
) -> None:
    shown(versions[0])
    advance(story.target())
    version = told.get_model_version_by_alias(MODEL, "champion")
    champion = journal(story.target()).champion
    assert champion is not None
    assert version.tags["package_digest"] == champion.package_digest
    assert version.source == champion.archive_uri
    run = told.get_run(str(version.run_id))
    assert (run.info.status, run.data.params["max_iter"]) == ("FINISHED", "5")
    assert run.data.metrics["log_loss_low"] <= run.data.metrics["log_loss"] <= run.data.metrics["log_loss_high"]
    assert run.data.tags["recipe"] == champion.recipe
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert {one.path for one in told.list_artifacts(run.info.run_id)} == {"card.md", "metrics.json"}
    (dataset,) = run.inputs.dataset_inputs
    assert run.data.tags["data_sha256"].startswith(dataset.dataset.digest)
    assert weights(told, run.info.run_id) == [100]
    assert version.tags["verdict"] == "promoted"


def test_the_controller_outlines_who_serves_and_the_next_update_completes_it(
    server: tuple[MlflowServer, int], told: MlflowClient
) -> None:
    """After an outage. That an outage holds up no update and no tick:
    packages/modelstack/tests/program/test_mlflow.py, test_mirrored.py.
    """
    running, port = server
    assert stop(running.folder)
    running.start(port)
    shelf, state = Shelf("outlined", "outlined"), promoted()
    assert state.verdict is not None
    with opened(f"http://127.0.0.1:{port}", bearer({}), 10) as api:
        log_build(api, build("a"), shelf)
        assert mirror(api, shelf, state, manifest, state.started_at + SETTLED) == ("sha256:b",)
        assert told.get_registered_model("outlined").aliases == {}, "who serves is not known, and nobody else serves"
        assert mirror(api, shelf, state, manifest, state.started_at + SETTLED + 1) == ()
        outlined = told.get_model_version_by_alias("outlined", "champion")
        assert (outlined.tags["told_by"], outlined.tags["verdict"]) == ("controller", "promoted")
        assert (outlined.tags["package_digest"], outlined.tags["why"]) == ("sha256:b", state.verdict.reason.text)
        assert weights(told, str(outlined.run_id)) == [0, 10, 50, 100]
        former = told.get_model_version("outlined", "1")
        assert weights(told, str(former.run_id)) == [100, 90, 50, 0]
        log_build(api, build("b"), shelf)
    run = told.get_run(str(outlined.run_id))
    assert told.get_model_version("outlined", "2").tags["told_by"] == "update"
    assert "log_loss" in run.data.metrics and run.inputs.dataset_inputs


def test_a_rollback_takes_the_challenger_away_and_says_why(
    story: Bed, versions: list[Stack], told: MlflowClient
) -> None:
    slow = {**QUICK, "wait": False, "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 500}}
    shown(having(versions[1], slow))
    advance(story.target())
    challenger = told.get_model_version_by_alias(MODEL, "challenger")
    assert (challenger.version, challenger.tags["verdict"]) == ("2", "on trial")
    assert typed("rollback", "--yes", "--reason", "looks odd").exit_code == 0

    def said() -> bool:
        """The scheduled function may run at the same moment, and knew less when it began."""
        advance(story.target())
        return told.get_run(str(challenger.run_id)).data.tags["verdict"] == "rolled back"

    wait_for(said, 200, "the verdict in MLflow")
    assert told.get_registered_model(MODEL).aliases == {"champion": "1"}
    assert "looks odd" in told.get_run(str(challenger.run_id)).data.tags["why"]
    assert weights(told, str(challenger.run_id))[-1] == 0


# --- the other way round


def table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(1)
    made = pd.DataFrame({"months": random.integers(1, 40, rows) * 1.0, "spend": random.normal(50, 9, rows)})
    return made.assign(left=(made["months"] < 15) ^ (random.random(rows) < 0.1))


def fitted() -> Any:
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    return estimator.fit(table()[["months", "spend"]], table()["left"])


def logged(url: str, estimator: Any, **more: Any) -> None:
    """Log an estimator as a data scientist does."""
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("churn")
    with mlflow.start_run():
        mlflow.sklearn.log_model(estimator, name="model", registered_model_name="churn", **more)


@pytest.mark.parametrize(
    ("version", "more"),
    [("1", {}), ("2", {"serialization_format": "cloudpickle", "pip_requirements": PINS})],
    ids=["skops", "cloudpickle"],
)
def test_a_model_that_was_logged_in_mlflow_is_fetched_by_alias_and_by_version(
    server: tuple[MlflowServer, int],
    told: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    more: dict[str, Any],
) -> None:
    url = f"http://127.0.0.1:{server[1]}"
    logged(url, fitted(), **more)
    told.set_registered_model_alias("churn", "best", version)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    for uri in (f"models:/churn/{version}", "models:/churn@best"):
        said: list[str] = []
        with fetched(uri, said.append) as path:
            assert path.name == ("churn.pkl" if more else "churn.skops")
            assert read(path)[0].steps[-1][1].C == 0.5
        assert f"{uri} is version {version}, of run " in said[0] and ": sha256 " in said[0]


def test_what_was_made_with_other_versions_is_refused_before_it_is_fetched(
    server: tuple[MlflowServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{server[1]}"
    logged(url, fitted(), pip_requirements=["scikit-learn==1.2.0", "mlflow"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with (
        pytest.raises(OperatorError, match=r"scikit-learn 1.2.0 \(here .*\). Nothing of it was fetched"),
        fetched("models:/churn/3", print),
    ):
        raise AssertionError("it was fetched")


def test_a_sealed_package_of_a_stack_is_no_estimator(
    server: tuple[MlflowServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server[1]}")
    with (
        pytest.raises(OperatorError, match="found a package that modelstack has sealed"),
        fetched(f"models:/{MODEL}@champion", print),
    ):
        raise AssertionError("it was fetched")


# --- a managed one


@pytest.mark.parametrize("kind", ["mlflow-tracking-server/team", "mlflow-app/app-AB12"])
def test_awss_own_plugin_and_we_ask_one_server_in_the_same_way(
    server: tuple[MlflowServer, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an ARN, as on AWS, of which only the address is another."""
    from modelstack.platforms.aws.mlflow import mlflow as ours

    arn, url = f"arn:aws:sagemaker:eu-west-1:111122223333:{kind}", f"http://127.0.0.1:{server[1]}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobodys")
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", url)
    mlflow.set_tracking_uri(arn)  # the plugin asks for it wherever it signs
    try:
        experiment = mlflow.create_experiment(kind.replace("/", "-"))
    finally:
        mlflow.set_tracking_uri(url)
    with ours(arn, os.environ, 5) as api:
        assert api.experiment(kind.replace("/", "-")) == experiment
