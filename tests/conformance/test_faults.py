"""Every row of the table of faults, played on one local cloud, six at a time; a test a row.

A row is a disturbance and the end that it must come to: verdict, weights, registry, notification, and no request lost.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.conformance.row import SECONDS, Played, Row, differences
from tests.conformance.table import PAGE, ROWS, in_page, shown, written


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


def test_rows_have_names_of_their_own_and_say_what_a_person_sees_and_does() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.name for row in ROWS if not (row.see and row.do)] == []
