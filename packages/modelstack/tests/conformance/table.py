"""The tables of faults, and how docs/reference/faults.md shows them.

pytest packages/modelstack/tests/conformance -k page --write-page     # writes both tables into docs/reference/faults.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.of_events import EVENTS
from tests.conformance.of_models import MODELS
from tests.conformance.of_outages import OUTAGES
from tests.conformance.of_platforms import PLATFORMS
from tests.conformance.row import Expected, Row
from tests.conformance.stage import Platform

ROWS: tuple[Row, ...] = (*MODELS, *OUTAGES, *EVENTS, *PLATFORMS)
PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "faults.md"
EVERYWHERE, ON_A_CLUSTER = "# Faults", "## Only on a cluster"  # headings above the tables
NAMES: Mapping[Platform, str] = {"aws": "AWS", "kubernetes": "Kubernetes"}
_COLUMNS = ["fault", "what happens", "how it ends", "what you see", "what to do"]
_NONE_LOST = "; no request lost"


def shown(rows: Sequence[Row]) -> list[str]:
    cells = [_cells(row) for row in rows]
    columns = [*_COLUMNS, "played on"][: len(cells[0])]
    return [_line(columns), "|" + "---|" * len(columns), *map(_line, cells)]


def in_page(text: str, heading: str) -> list[str]:
    lines = text.splitlines()
    first, last = _place(lines, heading)
    return lines[first:last]


def written(text: str, heading: str, table: Sequence[str]) -> str:
    lines = text.splitlines()
    first, last = _place(lines, heading)
    return "\n".join([*lines[:first], *table, *lines[last:]]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    cells = [f"`{row.name}`", row.happens, _ending_of(row), row.see, row.do]
    return cells if row.place else [*cells, _played_on(row)]


def _ending(expected: Expected) -> str:
    outcome = expected.outcome.replace("_", " ")
    packages = ", ".join(f"{role} {status}" for role, status in expected.packages.items())
    other = f" or {expected.or_by[0]}" if expected.or_by else ""
    end = f"{outcome} by {expected.source}{other}; {expected.serves} has 100%; {packages}{_NONE_LOST}"
    theirs = " and ".join(sorted(expected.fails))
    return f"{end} but those that the {theirs} itself failed" if theirs else end


def _ending_of(row: Row) -> str:
    end = _ending(row.expects)
    if row.either and row.either.outcome == row.expects.outcome:
        end = end.replace(f"by {row.expects.source}", f"by {row.expects.source} or {row.either.source}")
    elif row.either:
        end = end.replace(_NONE_LOST, f"; or {_ending(row.either)}")
    return f"{end}{', and' if row.expects.fails else ' but'} {row.loses.why}" if row.loses else end


def _played_on(row: Row) -> str:
    played = " and ".join(name for platform, name in NAMES.items() if platform not in row.not_on)
    reasons = "".join(f". Not on {NAMES[platform]}: {why}" for platform, why in row.not_on.items())
    return f"{played}{reasons}"


def _place(lines: Sequence[str], heading: str) -> tuple[int, int]:
    first = next(at for at in range(lines.index(heading), len(lines)) if lines[at].startswith("| fault |"))
    return first, next(at for at in range(first, len(lines) + 1) if not (lines[at : at + 1] or [""])[0].startswith("|"))
