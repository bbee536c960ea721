"""What a command prints its result on."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, cast

from rich.console import Console

_WIDE = 4000


class _Trimmed:
    """A text file that gets no blanks at the end of a line, which tables are padded with."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(re.sub(r" +(?=\n)", "", text))
        return len(text)

    def flush(self) -> None:
        self._file.flush()


def page() -> Console:
    """Standard output. Off a terminal no line is wrapped, so that a phrase can be searched for; `COLUMNS` counts.

    No text is markup: a person's reason may have brackets.
    """
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        return console
    console = Console(highlight=False, markup=False, file=cast(IO[str], _Trimmed(sys.stdout)))
    if not os.environ.get("COLUMNS"):
        console.width = _WIDE
    return console
