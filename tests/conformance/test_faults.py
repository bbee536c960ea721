"""Every row of the table of faults, played on each platform that can have it, several at a time; a test a row.

A row is a disturbance and the end that it must come to: verdict, weights, registry, notification, and no request lost.
"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.conformance.row import SECONDS, Played, Plays, Row, differences
from tests.conformance.stage import Platform
from tests.conformance.table import PAGE, ROWS, in_page, shown, written

COMMON = [row for row in ROWS if not row.not_on]
MARKS = {"aws": [], "kubernetes": [pytest.mark.needs("cluster")]}
PLAYED = [
    pytest.param(row, platform, id=f"{platform}-{row.name}", marks=MARKS[platform])
    for platform in get_args(Platform)
    for row in ROWS
    if platform not in row.not_on
]


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.alone
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(("row", "platform"), PLAYED)
def test_a_fault_ends_as_the_table_says(row: Row, platform: Platform, request: pytest.FixtureRequest) -> None:
    plays: Plays = request.getfixturevalue(f"on_{platform}")
    seen = plays[row.name].result(SECONDS)
    found = differences(row.expects, seen)
    assert not found, "\n".join(found)


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.alone
@pytest.mark.needs("cluster")
@pytest.mark.timeout(2 * SECONDS + 60)
def test_both_platforms_come_to_the_same_verdicts(
    on_aws: Plays, on_kubernetes: Plays, record_property: pytest.RecordProperty
) -> None:
    both = (on_aws, on_kubernetes)
    pairs = {row.name: [_verdict(row, plays[row.name].result(SECONDS)) for plays in both] for row in COMMON}
    differ = {name: found for name, found in pairs.items() if found[0] != found[1]}
    record_property("verdicts_equal", f"{len(pairs) - len(differ)} of {len(pairs)}")
    assert not differ


def _verdict(row: Row, seen: Played) -> tuple[str, str, str]:
    """Outcome, who decided, and by what; of several that the row allows, the first stands for all."""
    assert seen.state.verdict is not None
    reason, first = seen.state.verdict.reason, row.expects
    expected = first.by(reason.source)
    allowed = reason.source == expected.source and reason.name.endswith(expected.names)
    decided = (first.source, first.names[0]) if allowed else (reason.source, reason.name)
    return seen.state.verdict.outcome, *decided


def test_a_row_that_a_platform_cannot_have_says_why() -> None:
    assert {row.name for row in ROWS if row.not_on} == {"champion-cannot-start", "champion-cannot-come-back"}
    assert all(why for row in ROWS for why in row.not_on.values())


def test_the_page_on_faults_has_a_line_for_each_row(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--write-page", False):
        PAGE.write_text(written(PAGE.read_text(), ROWS))
    assert in_page(PAGE.read_text()) == shown(ROWS), "run: pytest tests/conformance -k page --write-page"


def test_rows_have_names_of_their_own_and_say_what_a_person_sees_and_does() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.name for row in ROWS if not (row.see and row.do)] == []
