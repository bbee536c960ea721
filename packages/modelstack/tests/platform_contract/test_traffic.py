"""What every platform's traffic promises: what was set is read, and what the endpoint does not have is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

import pytest

from modelstack.platforms.aws.traffic import SageMakerTraffic
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.controller.ports import Traffic
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.services.ports import Document
from tests.platforms.aws.either import clients_of
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import ENDPOINT, TestClock, World, pair, solo
from tests.simulator.platform import MemoryTraffic
from tests.simulator.platform import World as Simulated

OLD, NEW = solo("w-old", "v-old"), solo("w-new", "v-new")
SOLO, PAIR = OLD.name, pair(OLD, NEW).name
CONFIGS = {SOLO: {"v-old": 100.0}, PAIR: {"v-old": 100.0, "v-new": 0.0}}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that serves `PAIR`, and a function that lets it finish a change."""

    traffic: Traffic
    settle: Callable[[], object] = lambda: None


@pytest.fixture(params=["memory", "toy", "moto", "cluster"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    if request.param == "memory":
        simulated = Simulated(CONFIGS, PAIR)
        return Endpoint(MemoryTraffic(simulated), lambda: simulated.clock.sleep(5))
    if request.param == "moto":
        return _sagemaker(request)
    if request.param == "toy":
        made = request.getfixturevalue("toy")
        documents = made.ToyDocuments(made.File(request.getfixturevalue("tmp_path") / "stack.sqlite"))
        documents.transact([Document("configs", CONFIGS)])
        found = Endpoint(made.ToyTraffic(documents))
    else:
        api = FakeApi()
        world = World(cast(Api, api), api.patched)
        world.declare()
        for workload in ("w-old", "w-new"):
            world.workload(workload)
        for config in (OLD, pair(OLD, NEW)):
            world.config(config)
        found = Endpoint(RouteTraffic(world.api, ENDPOINT, TestClock()), world.gateway_follows)
    found.traffic.use_config(PAIR)
    found.settle()
    return found


def _sagemaker(request: pytest.FixtureRequest) -> Endpoint:
    sagemaker, name = (clients := clients_of(request))("sagemaker"), f"traffic-{uuid4().hex[:8]}"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=f"arn:aws:iam::000000000000:role/{name}")
    of = {"ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0}
    variants = [{**of, "VariantName": variant} for variant in CONFIGS[PAIR]]
    sagemaker.create_endpoint_config(EndpointConfigName=PAIR, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=PAIR)
    return Endpoint(SageMakerTraffic(clients, name))


def test_weights_that_were_set_are_read(endpoint: Endpoint) -> None:
    for new in (25, 25, 0):
        endpoint.traffic.set_weights({"v-old": 100 - new, "v-new": new})
        endpoint.settle()
        live = endpoint.traffic.read()
        assert (live.status, live.config) == ("ready", PAIR)
        assert live.shares() == live.shares(desired=True) == {"v-old": 100 - new, "v-new": new}


def test_weights_of_a_variant_that_is_not_there_change_nothing_and_are_refused_by_its_name(endpoint: Endpoint) -> None:
    before = endpoint.traffic.read()
    with pytest.raises(RolloutError, match="v-other") as refused:
        endpoint.traffic.set_weights({"v-old": 90, "v-other": 10})
    assert not isinstance(refused.value, Busy)
    assert endpoint.traffic.read() == before


@pytest.mark.parametrize("endpoint", ["memory", "toy", "cluster"], indirect=True)
def test_another_config_serves_with_its_own_variants_and_weights(endpoint: Endpoint) -> None:
    """moto has no UpdateEndpoint: see packages/modelstack/tests/platforms/aws/test_endpoint.py."""
    for config in (SOLO, SOLO, PAIR):
        endpoint.traffic.use_config(config)
        endpoint.settle()
        live = endpoint.traffic.read()
        assert (live.status, live.config, live.shares()) == ("ready", config, CONFIGS[config])


@pytest.mark.parametrize("endpoint", ["memory"], indirect=True)
def test_an_endpoint_that_changes_takes_no_other_change(endpoint: Endpoint) -> None:
    """Of SageMaker: packages/modelstack/tests/platforms/aws/test_endpoint.py; a cluster refuses one only
    while a champion moves.
    """
    endpoint.traffic.set_weights({"v-old": 75, "v-new": 25})
    for change in (lambda: endpoint.traffic.use_config(SOLO), lambda: endpoint.traffic.set_weights({"v-old": 100})):
        with pytest.raises(Busy):
            change()
    endpoint.settle()
    assert endpoint.traffic.read().shares() == {"v-old": 75, "v-new": 25}
