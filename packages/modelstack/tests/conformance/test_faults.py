"""Every row of the table of faults, played in memory and on each platform that can have it.

Rows that do not touch the adapter of a real platform are marked `faults` there.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.conformance.in_memory import MemoryStage
from tests.conformance.of_clusters import CLUSTERS
from tests.conformance.row import SECONDS, Plays, Row, play, prepare, wrong
from tests.conformance.stage import Platform
from tests.conformance.table import EVERYWHERE, ON_A_CLUSTER, PAGE, ROWS, in_page, shown, written

REAL: dict[Platform, list[pytest.MarkDecorator]] = {"aws": [], "kubernetes": [pytest.mark.needs("cluster")]}
PLAYED = [
    pytest.param(
        row, platform, id=f"{platform}-{row.name}",
        marks=marks if platform in row.adapters else [*marks, pytest.mark.faults],
    )
    for platform, marks in REAL.items()
    for row in ROWS
    if platform not in row.not_on
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_ends_in_memory_as_the_table_says(row: Row) -> None:
    stage = MemoryStage()
    prepare(row, stage)
    found = wrong(row, play(row, stage))
    assert not found, "\n".join(found)


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(("row", "platform"), PLAYED)
def test_a_fault_ends_as_the_table_says(row: Row, platform: Platform, request: pytest.FixtureRequest) -> None:
    plays: Plays = request.getfixturevalue(f"on_{platform}")
    found = wrong(row, plays[row.name].result(SECONDS))
    assert not found, "\n".join(found)


def test_a_row_that_a_platform_cannot_have_says_why() -> None:
    assert {row.name for row in ROWS if row.not_on} == {
        "champion-cannot-start",
        "champion-cannot-come-back",
        "instances-silent",
    }
    assert all(why for row in ROWS for why in row.not_on.values())


@pytest.mark.parametrize(
    ("heading", "rows"), [(EVERYWHERE, ROWS), (ON_A_CLUSTER, CLUSTERS)], ids=["everywhere", "on-a-cluster"]
)
def test_the_page_on_faults_has_a_line_for_each_row(
    heading: str, rows: Sequence[Row], pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("--write-page", False):
        PAGE.write_text(written(PAGE.read_text(), heading, shown(rows)))
    assert in_page(PAGE.read_text(), heading) == shown(rows), (
        "run: pytest packages/modelstack/tests/conformance -k page --write-page"
    )


def test_rows_have_names_of_their_own_and_say_what_a_person_sees_and_does() -> None:
    rows = [*ROWS, *CLUSTERS]
    assert len({row.name for row in rows}) == len(rows)
    assert [row.name for row in rows if not (row.happens and row.see and row.do)] == []
