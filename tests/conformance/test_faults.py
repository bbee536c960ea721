"""Every row of the table of faults, played on one local cloud, six at a time; a test a row.

A row is a disturbance and the end that it must come to: verdict, weights, registry, notification, and no request lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.lambda_zip import seal
from tests.conformance.row import Played, Row, differences, play
from tests.conformance.stage import FaultStage
from tests.conformance.table import PAGE, ROWS, in_page, shown, written
from tests.rollout.on_cloud import Clients, configured

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 6
SECONDS = 600  # to the end of any row


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Played]]]:
    """How each row that was selected ends; they are played at the same time."""
    asked = {_row(item) for item in request.session.items}
    code = seal(ROOT, tmp_path_factory.mktemp("code")).path
    cloud = new_cloud(configured(tmp_path_factory.mktemp("config")))
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            patch.setenv(name, value)
        shared = Clients()

        def run(row: Row) -> Played:
            return play(row, FaultStage(shared, row.name, cloud.url, code))

        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            # The last ones of the table take longest.
            yield {row.name: pool.submit(run, row) for row in reversed(ROWS) if row.name in asked}
        finally:
            pool.shutdown(cancel_futures=True)


def _row(item: Any) -> str | None:
    """The name of the row that a selected test is about."""
    row = item.callspec.params.get("row") if hasattr(item, "callspec") else None
    return row.name if isinstance(row, Row) else None


@pytest.mark.e2e
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_ends_as_the_table_says(row: Row, played: dict[str, Future[Played]]) -> None:
    seen = played[row.name].result(SECONDS)
    found = differences(row.expects, seen)
    assert not found, "\n".join(found)


def test_the_page_on_faults_has_a_line_for_each_row(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--write-page", False):
        PAGE.write_text(written(PAGE.read_text(), ROWS))
    assert in_page(PAGE.read_text()) == shown(ROWS), "run: pytest tests/conformance -k page --write-page"


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
