"""`pytest tests/conformance --write-page` writes the table of faults into docs/reference/faults.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.aws.lambda_zip import seal
from tests.conformance.row import Played, Row, play
from tests.conformance.stage import FaultStage
from tests.platforms.aws.on_cloud import Clients, configured, point_at

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-page", action="store_true", help="write the table into docs/reference/faults.md")


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Played]]]:
    """How each of the module's `ROWS` that was selected ends; they are played at the same time."""
    rows: tuple[Row, ...] = request.module.ROWS
    asked = {_row(item) for item in request.session.items}
    code = seal(ROOT, tmp_path_factory.mktemp("code")).path
    cloud = new_cloud(configured(tmp_path_factory.mktemp("config")))
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        point_at(cloud, patch)
        shared = Clients()

        def run(row: Row) -> Played:
            return play(row, FaultStage(shared, row.name, cloud, code))

        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            # The last ones take longest.
            yield {row.name: pool.submit(run, row) for row in reversed(rows) if row.name in asked}
        finally:
            pool.shutdown(cancel_futures=True)


def _row(item: Any) -> str | None:
    """The name of the row that a selected test is about."""
    row = item.callspec.params.get("row") if hasattr(item, "callspec") else None
    return row.name if isinstance(row, Row) else None
