"""The table of faults, and how docs/reference/faults.md shows it.

pytest tests/conformance --write-page     # writes the table into docs/reference/faults.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.cluster_row import ClusterRow
from tests.conformance.of_events import EVENTS
from tests.conformance.of_models import MODELS
from tests.conformance.of_outages import OUTAGES
from tests.conformance.of_platforms import PLATFORMS
from tests.conformance.row import Expected, Row
from tests.conformance.stage import Platform

ROWS: tuple[Row, ...] = (*MODELS, *OUTAGES, *EVENTS, *PLATFORMS)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
HEAD = ("| fault | what happens | how it ends | what you see | what to do | played on |", "|---|---|---|---|---|---|")
HEAD_OF_CLUSTERS = ("| fault | what happens | how it ends | what you see | what to do |", "|---|---|---|---|---|")
ALL, OF_CLUSTERS = 1, 2
"""Which of the page's tables is that of all platforms, and which that of clusters; the first tells of the stages."""
NAMES: Mapping[Platform, str] = {"aws": "AWS", "kubernetes": "Kubernetes"}


def shown(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown, a line a row."""
    lines = [(f"`{row.name}`", row.happens, ending(row.expects), row.see, row.do, played_on(row)) for row in rows]
    return [*HEAD, *(f"| {' | '.join(cells)} |" for cells in lines)]


def shown_of_clusters(rows: Sequence[ClusterRow]) -> list[str]:
    """The table of what only a cluster has."""
    lines = [(f"`{row.name}`", row.happens, _ending(row), row.see, row.do) for row in rows]
    return [*HEAD_OF_CLUSTERS, *(f"| {' | '.join(cells)} |" for cells in lines)]


def _ending(row: ClusterRow) -> str:
    end = ending(row.expects)
    if row.either:
        end = end.replace(f"by {row.expects.source}", f"by {row.expects.source} or {row.either.source}")
    return f"{end}{', and' if row.expects.fails else ' but'} {row.loses.why}" if row.loses else end


def ending(expected: Expected) -> str:
    """The end of a row in a few words."""
    outcome = expected.outcome.replace("_", " ")
    packages = ", ".join(f"{role} {status}" for role, status in expected.packages.items())
    end = f"{outcome} by {expected.source}; {expected.serves} has 100%; {packages}; no request lost"
    theirs = " and ".join(sorted(expected.fails))
    return f"{end} but those that the {theirs} itself failed" if theirs else end


def played_on(row: Row) -> str:
    """The platforms that a row is played on, why not on the others, and where it ends otherwise."""
    played = " and ".join(name for platform, name in NAMES.items() if platform not in row.not_on)
    reasons = "".join(f". Not on {NAMES[platform]}: {why}" for platform, why in row.not_on.items())
    others = "".join(
        f". On {NAMES[platform]} {end.outcome.replace('_', ' ')} by {end.source}: {row.differs}"
        for platform, end in row.ends_on.items()
    )
    return f"{played}{reasons}{others}"


def in_page(text: str, at: int) -> list[str]:
    """The lines of one of the page's tables."""
    return _tables(text.splitlines())[at][1]


def written(text: str, table: Sequence[str], at: int) -> str:
    """The page with a table in the place of one that it has."""
    lines = text.splitlines()
    first, there = _tables(lines)[at]
    return "\n".join([*lines[:first], *table, *lines[first + len(there) :]]) + "\n"


def _tables(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Where each table begins, and its lines."""
    found: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines):
        if line.startswith("|") and found and found[-1][0] + len(found[-1][1]) == number:
            found[-1][1].append(line)
        elif line.startswith("|"):
            found.append((number, [line]))
    return found
