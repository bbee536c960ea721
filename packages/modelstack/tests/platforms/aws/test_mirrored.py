"""The advance function and MLflow: it tells how rollouts stand, and does its work whether or not anybody listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from modelstack.platforms.aws import mlflow
from modelstack.platforms.aws.handlers import advance
from modelstack.records.tracking.logged import Shelf, log_build
from modelstack.records.tracking.mirror import SETTLED
from tests.platforms.aws.mocked import clients
from tests.platforms.aws.stubbed_endpoint import Endpoint, journal
from tests.records.tracking.small_mlflow import SmallMlflow, small_mlflow
from tests.records.tracking.test_mirror import api, build

SHELF = Shelf("flights", "endpoint")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow._read.cache_clear()
    monkeypatch.setattr(advance, "_FOLLOW_SECONDS", 0.0)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallMlflow]:
    with small_mlflow() as made:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", made.url)
        yield made


def built(known: SmallMlflow) -> None:
    """MLflow knows the packages of champion and challenger."""
    state = journal().read()
    assert state.champion and state.challenger
    for release in (state.champion, state.challenger):
        log_build(api(known), build(release.package_digest.removeprefix("sha256:")), SHELF)


def test_a_tick_lets_the_aliases_follow(endpoint: Endpoint, known: SmallMlflow) -> None:
    built(known)
    advance.handler({}, None)
    assert known.models["endpoint"]["aliases"] == {"champion": "1", "challenger": "1"}, "of one package"


def test_a_tick_signs_in_with_the_keys_of_the_secret(
    endpoint: Endpoint, known: SmallMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SECRET", "ml/token")
    clients()("secretsmanager").create_secret(Name="ml/token", SecretString=json.dumps({"token": "t0ken"}))
    advance.handler({}, None)
    assert known.headers["Authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("held", ["not json", "[]", '"t0ken"'])
def test_a_secret_that_cannot_be_read_is_told_without_its_content(
    endpoint: Endpoint,
    known: SmallMlflow,
    monkeypatch: pytest.MonkeyPatch,
    held: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_SECRET", "ml/token")
    clients()("secretsmanager").create_secret(Name="ml/token", SecretString=held)
    answer = advance.handler({}, None)
    assert answer["phase"] == "baking" and known.calls == []
    said = capsys.readouterr().out
    assert "the secret ml/token is no JSON object with token, username, password" in said
    assert "t0ken" not in said and "not json" not in said


def test_a_tick_does_all_else_in_an_outage_and_the_next_one_tells_what_was_missed(
    endpoint: Endpoint, known: SmallMlflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built(known)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    answer = advance.handler({}, None)
    assert answer == {"phase": "baking", "rollout_id": "000001-b", "weights": {"v-a": 90, "v-b": 10}}
    assert "http://127.0.0.1:1 does not answer" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", known.url)
    advance.handler({}, None)
    assert known.models["endpoint"]["aliases"] == {"champion": "1", "challenger": "1"}, "of one package"


def test_a_build_that_mlflow_does_not_know_is_told_of_in_the_log_and_later_in_outline(
    endpoint: Endpoint, known: SmallMlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    advance.handler({}, None)
    assert '"unknown": ' in capsys.readouterr().out
    state = journal().read()
    journal().write(replace(state, started_at=state.started_at - SETTLED))
    advance.handler({}, None)
    assert known.models["endpoint"]["aliases"] == {"champion": "1", "challenger": "1"}, "of one package"
    assert known.experiments == {"endpoint": "1"}
