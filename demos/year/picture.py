"""Brings the last `make year` into docs/explanation/year.md, tables and picture: `python -m demos.year.picture`."""

from __future__ import annotations

import sys

from rich.console import Console

from demos import ROOT
from demos.year import WRITTEN
from demos.year.report import PAGE, TABLES
from modelstack.cli.console.pictures import FOLDER, take
from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError

BEGINS, ENDS = "<!-- python -m demos.year.picture writes from here -->", "<!-- to here -->"
_DOCS = ROOT / "docs" / "explanation" / "year.md"
_SIZE = "1180,1560"  # as far as what was gained


def main(console: Console) -> int:
    """Take the picture, and write the tables."""
    page = WRITTEN / PAGE
    if not page.is_file():
        raise OperatorError(f"there is no {page.relative_to(ROOT)}", "Type: make year")
    picture = FOLDER / "year.png"
    take(page.as_uri(), picture, _SIZE)
    _DOCS.write_text(written(_DOCS.read_text(), (WRITTEN / TABLES).read_text()))
    console.print(f"{picture.relative_to(ROOT)}\n{_DOCS.relative_to(ROOT)}")
    return 0


def written(page: str, tables: str) -> str:
    """A page with other tables between its marks.

    Raises:
        ValueError: It has no marks.
    """
    head, begins, rest = page.partition(BEGINS)
    _, ends, tail = rest.partition(ENDS)
    if not begins or not ends:
        raise ValueError(f"the page has nothing between {BEGINS} and {ENDS}")
    return f"{head}{BEGINS}\n{tables.strip()}\n{ENDS}{tail}"


if __name__ == "__main__":
    sys.exit(run(main, stopped="what was there is kept."))
