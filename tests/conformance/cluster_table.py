"""The table of what only a cluster has, and how docs/reference/faults.md shows it.

pytest tests/conformance/test_cluster_faults.py -k page --write-page     # writes it into the page
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.conformance.cluster_row import ClusterRow
from tests.conformance.table import PAGE, ending

__all__ = ["PAGE", "in_page", "shown", "written"]
_LOST = "; no request lost"
SECTION = "## Only on a cluster"
HEAD = ("| fault | what happens | how it ends | what you see | what to do |", "|---|---|---|---|---|")


def shown(rows: Sequence[ClusterRow]) -> list[str]:
    """The table as Markdown, a line a row."""
    lines = [(f"`{row.name}`", row.happens, _ending(row), row.see, row.do) for row in rows]
    return [*HEAD, *(f"| {' | '.join(cells)} |" for cells in lines)]


def in_page(text: str) -> list[str]:
    """The lines of the page's table, below its own heading."""
    first, last = _place(text.splitlines())
    return text.splitlines()[first:last]


def written(text: str, rows: Sequence[ClusterRow]) -> str:
    """The page with the table of these rows in the place of the one that it has."""
    lines = text.splitlines()
    first, last = _place(lines)
    return "\n".join([*lines[:first], *shown(rows), *lines[last:]]) + "\n"


def _ending(row: ClusterRow) -> str:
    end = ending(row.expects)
    if row.either and row.either.outcome == row.expects.outcome:
        end = end.replace(f"by {row.expects.source}", f"by {row.expects.source} or {row.either.source}")
    elif row.either:
        end = end.replace(_LOST, f"; or {ending(row.either)}")
    return f"{end}{', and' if row.expects.fails else ' but'} {row.loses.why}" if row.loses else end


def _place(lines: Sequence[str]) -> tuple[int, int]:
    """Where the table begins, and where it ends."""
    first = next(at for at in range(lines.index(SECTION), len(lines)) if lines[at].startswith("|"))
    return first, next(at for at in range(first, len(lines)) if not lines[at].startswith("|"))
