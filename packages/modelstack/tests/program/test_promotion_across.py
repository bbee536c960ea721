"""A stack takes the champion of another one, whatever the platforms of the two are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.program.aws import source as aws_source
from modelstack.program.kubernetes import source
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.state import RolloutState
from tests.program.on_cluster import IMAGE, NAMES, OnCluster, idle, release, run_on_cluster
from tests.program.recorded import LOCAL, OLD, SIGNED_BY, SOURCE, Answers, run_program

RECIPE = "7" * 64
IN_CLUSTER: dict[str, Any] = {
    "platform": "kubernetes",
    "endpoint_name": "flight-delay-staging",
    "context": "models-staging",
    "namespace": "models",
    "bucket": None,
    "signing_key": SIGNED_BY,
}


@pytest.fixture
def serves(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []
    monkeypatch.setattr(Api, "of", lambda context, namespace: asked.append((context, namespace)))

    def read(journal: KubernetesJournal) -> RolloutState:
        return idle(release(RECIPE))

    monkeypatch.setattr(KubernetesJournal, "read", read)
    monkeypatch.setattr(KubernetesJournal, "__init__", lambda self, api, endpoint: asked.append(endpoint))
    return asked


def test_a_cluster_takes_from_aws_the_package_and_not_the_image() -> None:
    there = {**OLD.as_dict(), "region": "us-east-1", "role": None}
    with mock.patch.object(aws_source, "champion", lambda *given: there):
        world = run_on_cluster(answers=OnCluster(source=SOURCE), promotion={"from": "local"})
    assert world.stopped is None
    assert world.package["source"] == {**there, "platform": "aws", "signed_by": SIGNED_BY}
    assert (world.package["recipe"], world.package["image_uri"], world.package["parameters"]) == (OLD.recipe, IMAGE, {})
    assert world.package["name"] == NAMES.model_of(OLD.recipe, IMAGE)


def test_aws_takes_from_a_cluster_the_package_and_not_the_image(serves: list[Any]) -> None:
    world = run_program("local-staging", answers=Answers(source=IN_CLUSTER), promotion={"from": "local-kubernetes"})
    assert world.stopped is None
    assert serves == [("models-staging", "models"), "flight-delay-staging"]
    taken = world.package["source"]
    assert (taken["archive_uri"], taken["context"]) == (release(RECIPE).archive_uri, "models-staging")
    assert taken["signed_by"] == SIGNED_BY
    assert world.package["recipe"] == RECIPE
    assert world.package["image_uri"] == replace(LOCAL, stack="local-staging").process_image


def test_a_cluster_takes_from_a_cluster_the_image_too(serves: list[Any]) -> None:
    there = source.champion("staging", IN_CLUSTER, None)
    assert there is not None
    assert there["image_uri"] == IMAGE


def test_a_source_without_a_signed_champion_or_that_cannot_be_read_stops_the_update(
    serves: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(**outputs: Any) -> str:
        answers = OnCluster(source={**IN_CLUSTER, **outputs})
        return str(run_on_cluster(answers=answers, promotion={"from": "local-other"}).stopped)

    assert "only a signed one is taken" in run(signing_key=None)
    monkeypatch.setattr(KubernetesJournal, "read", lambda _: RolloutState("flight-delay-staging"))
    assert "promotion.from = 'local-other': this stack has no champion to take" in run()

    def away(_: object) -> RolloutState:
        raise Unreachable("the API server does not answer")

    monkeypatch.setattr(KubernetesJournal, "read", away)
    assert "what serves there is not known, so nothing was changed: the API server does not answer" in run()
