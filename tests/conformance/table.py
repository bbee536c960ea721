"""The table of faults, and how docs/reference/faults.md shows it.

pytest tests/conformance --write-page     # writes the table into docs/reference/faults.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile, takewhile
from pathlib import Path

from tests.conformance.of_events import EVENTS
from tests.conformance.of_models import MODELS
from tests.conformance.of_outages import OUTAGES
from tests.conformance.of_platforms import PLATFORMS
from tests.conformance.row import Expected, Row
from tests.conformance.stage import Platform

ROWS: tuple[Row, ...] = (*MODELS, *OUTAGES, *EVENTS, *PLATFORMS)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
HEAD = ("| fault | what happens | how it ends | what you see | what to do | played on |", "|---|---|---|---|---|---|")
NAMES: Mapping[Platform, str] = {"aws": "AWS", "kubernetes": "Kubernetes"}


def shown(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown, a line a row."""
    lines = [(f"`{row.name}`", row.happens, ending(row.expects), row.see, row.do, played_on(row)) for row in rows]
    return [*HEAD, *(f"| {' | '.join(cells)} |" for cells in lines)]


def ending(expected: Expected) -> str:
    """The end of a row in a few words."""
    outcome = expected.outcome.replace("_", " ")
    packages = ", ".join(f"{role} {status}" for role, status in expected.packages.items())
    other = f" or {expected.or_by[0]}" if expected.or_by else ""
    end = f"{outcome} by {expected.source}{other}; {expected.serves} has 100%; {packages}; no request lost"
    theirs = " and ".join(sorted(expected.fails))
    return f"{end} but those that the {theirs} itself failed" if theirs else end


def played_on(row: Row) -> str:
    """The platforms that a row is played on and why not on the others."""
    played = " and ".join(name for platform, name in NAMES.items() if platform not in row.not_on)
    reasons = "".join(f". Not on {NAMES[platform]}: {why}" for platform, why in row.not_on.items())
    return f"{played}{reasons}"


def in_page(text: str) -> list[str]:
    """The lines of the page's table of faults, which begins with its head."""
    return list(takewhile(_is_row, dropwhile(_is_no_head, text.splitlines())))


def written(text: str, rows: Sequence[Row]) -> str:
    """The page with the table of these rows in the place of the one that it has."""
    before = list(takewhile(_is_no_head, text.splitlines()))
    after = text.splitlines()[len(before) + len(in_page(text)) :]
    return "\n".join([*before, *shown(rows), *after]) + "\n"


def _is_no_head(line: str) -> bool:
    return not line.startswith("| fault |")


def _is_row(line: str) -> bool:
    return line.startswith("|")
