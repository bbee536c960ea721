"""The table of faults, and how docs/reference/faults.md shows it.

pytest tests/conformance --write-page     # writes the table into docs/reference/faults.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.conformance.of_events import EVENTS
from tests.conformance.of_models import MODELS
from tests.conformance.of_outages import OUTAGES
from tests.conformance.of_platforms import PLATFORMS
from tests.conformance.row import Expected, Row

ROWS: tuple[Row, ...] = (*MODELS, *OUTAGES, *EVENTS, *PLATFORMS)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
HEAD = ("| fault | what happens | how it ends | what you see | what to do |", "|---|---|---|---|---|")


def shown(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown, a line a row."""
    lines = [(f"`{row.name}`", row.happens, ending(row.expects), row.see, row.do) for row in rows]
    return [*HEAD, *(f"| {' | '.join(cells)} |" for cells in lines)]


def ending(expected: Expected) -> str:
    """The end of a row in a few words."""
    outcome = expected.outcome.replace("_", " ")
    packages = ", ".join(f"{role} {status}" for role, status in expected.packages.items())
    end = f"{outcome} by {expected.source}; {expected.serves} has 100%; {packages}; no request lost"
    theirs = " and ".join(sorted(expected.fails))
    return f"{end} but those that the {theirs} itself failed" if theirs else end


def in_page(text: str) -> list[str]:
    """The lines of the page's table."""
    return [line for line in text.splitlines() if line.startswith("|")]


def written(text: str, rows: Sequence[Row]) -> str:
    """The page with the table of these rows in the place of the one that it has."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rest = [line for line in lines[first:] if not line.startswith("|")]
    return "\n".join([*lines[:first], *shown(rows), *rest]) + "\n"
