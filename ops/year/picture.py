"""Takes the picture of docs/year.md from the page that `make year` wrote last: `python -m ops.year.picture`."""

from __future__ import annotations

import sys

from rich.console import Console

from ops.command import run
from ops.console.pictures import FOLDER, take
from ops.errors import OperatorError
from ops.target import ROOT
from ops.year import WRITTEN
from ops.year.report import PAGE

_SIZE = "1180,1560"  # as far as what was gained


def main(console: Console) -> int:
    """Take it."""
    page = WRITTEN / PAGE
    if not page.is_file():
        raise OperatorError(f"there is no {page.relative_to(ROOT)}", "Type: make year")
    picture = FOLDER / "year.png"
    take(page.as_uri(), picture, _SIZE)
    console.print(str(picture.relative_to(ROOT)))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, stopped="the picture that was there is kept."))
