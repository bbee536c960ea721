"""What the tests here share: a namespace with an endpoint, in memory and on a real API server, and PostgreSQL.

What holds for the namespace in memory holds for the real one.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator, Mapping
from typing import Any, cast

import httpx
import pytest

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.kinds import NAMESPACE, ResourceKind
from modelstack.platforms.kubernetes.schema import prepare
from tests.platforms.kubernetes.apiserver import ApiServer, api_server, define
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.postgres import Server, running
from tests.platforms.kubernetes.scrapes import Envoy, Tsdb
from tests.platforms.kubernetes.simulated import Cluster, cluster_in
from tests.platforms.kubernetes.world import BOTH, TestClock, World


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as started:
        define(Api(started.access(), "default"), definitions())
        yield started


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a namespace in memory and on a real API server, or only where the module's WORLDS say."""
    marked = any(mark.args[0] == "world" for mark in metafunc.definition.iter_markers("parametrize"))
    if "world" in metafunc.fixturenames and not marked:
        metafunc.parametrize("world", getattr(metafunc.module, "WORLDS", BOTH), indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """An endpoint in a namespace of its own, as Pulumi declares it."""
    made = _real(request.getfixturevalue("server")) if request.param == "real" else _fake()
    made.declare()
    return made


def _fake() -> World:
    api = FakeApi()
    return World(cast(Api, api), api.patched)


def _real(server: ApiServer) -> World:
    api = Api(server.access(), f"models-{uuid.uuid4().hex[:8]}")
    api.create(NAMESPACE, {"metadata": {"name": api.namespace}})

    def patch(kind: ResourceKind, name: str, obj: Mapping[str, Any], manager: str) -> None:
        access = server.access()
        with httpx.Client(base_url=access.server, verify=access.verify, auth=access.auth) as client:
            answer = client.patch(
                kind.path(api.namespace, name),
                json=obj,
                params={"fieldManager": manager},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            assert answer.is_success, answer.text

    return World(api, patch)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def store(postgres: Server) -> Iterator[Database]:
    database = Database.of(postgres.url())
    prepare(database)
    yield database
    database.close()


@pytest.fixture
def endpoint() -> str:
    """An endpoint of the test's own: everything in the database is by endpoint."""
    return f"e-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def cluster(world: World) -> Cluster:
    return cluster_in(world)


@pytest.fixture
def tsdb() -> Tsdb:
    return Tsdb()


@pytest.fixture
def envoy(tsdb: Tsdb) -> Envoy:
    return Envoy(tsdb)
