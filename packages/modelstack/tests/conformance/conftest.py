"""Plays the selected rows of a module on each platform; `--write-page` writes the table of faults into its page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline.project import SOURCES
from modelstack.program.aws.lambda_zip import seal
from tests.clusters import cluster
from tests.conformance.cluster.stage import ClusterStage
from tests.conformance.cluster.world import World, shared
from tests.conformance.on_aws import AwsStage
from tests.conformance.row import Played, Plays, Row, play, prepare
from tests.conformance.stage import FaultStage, Platform
from tests.platforms.aws.on_cloud import Clients, configured, point_at

ROOT = Path(__file__).resolve().parents[4]
AT_ONCE = {"aws": 10, "kubernetes": 6}  # rows that keep two cores busy


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-page", action="store_true", help="write the table into docs/reference/faults.md")


@pytest.fixture(scope="module")
def on_aws(
    request: pytest.FixtureRequest, new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plays]:
    """How each of the module's `ROWS` that was selected ends on a local cloud; many at a time."""
    code = seal(SOURCES, tmp_path_factory.mktemp("code")).path
    cloud = new_cloud(configured(tmp_path_factory.mktemp("config")))
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        point_at(cloud, patch)
        clients = Clients()
        pool = ThreadPoolExecutor(AT_ONCE["aws"])
        try:
            yield submitted(pool, selected(request, "aws"), lambda row: AwsStage(clients, row.name, cloud, code))
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def on_kubernetes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    """The same on the cluster; each thread plays one row after another in a namespace of its own."""
    with cluster(), shared(tmp_path_factory.mktemp("stub")) as common:
        made, own = list[World](), threading.local()

        def begin() -> None:
            own.world = World.made(common, "faults")
            made.append(own.world)

        pool = ThreadPoolExecutor(AT_ONCE["kubernetes"], initializer=begin)
        try:
            yield submitted(pool, selected(request, "kubernetes"), lambda row: ClusterStage(own.world, row.name))
        finally:
            pool.shutdown(cancel_futures=True)
            for world in made:
                world.end()


def submitted(pool: ThreadPoolExecutor, rows: list[Row], stage: Callable[[Row], FaultStage]) -> Plays:
    def whole(row: Row) -> Played:
        made = stage(row)
        prepare(row, made)
        return play(row, made)

    return {row.name: pool.submit(whole, row) for row in rows}


def selected(request: pytest.FixtureRequest, platform: Platform) -> list[Row]:
    """The module's rows that a selected test is about, the longest first."""
    of_module = [item for item in request.session.items if item.module is request.module]
    asked = {_row(item, platform) for item in of_module}
    return [row for row in reversed(request.module.ROWS) if row.name in asked]


def _row(item: Any, platform: Platform) -> str | None:
    """The name of the row that a selected test is about, on a platform."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    row = params.get("row")
    return row.name if isinstance(row, Row) and params.get("platform") == platform else None
