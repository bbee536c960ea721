"""What a command prints on: nothing that comes from outside can move a terminal's cursor, or hide what stands there.

A reason, a name or an answer may have been written by anybody. So no text reaches a person but through `Page` or `say`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import IO, cast

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rollout.signs import clean

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


class Page(Console):
    """A console on which every text is cleaned."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render what is printed; what rich itself sends to the terminal, such as colors, is no text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a text as it is, but for what a terminal would act on."""
    click.echo(clean(str(text)), err=err, nl=nl)


def give(data: str) -> None:
    """Print what a program may read: a terminal gets it cleaned, all else as it is."""
    click.echo(clean(data) if sys.stdout.isatty() else data)


def page() -> Page:
    """Standard output. Off a terminal no line is wrapped, so that a phrase can be searched for; `COLUMNS` counts.

    No text is markup: a person's reason may have brackets.
    """
    console = Page(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    console = Page(highlight=False, markup=False, emoji=False, file=cast(IO[str], _Trimmed(sys.stdout)))
    if not os.environ.get("COLUMNS"):
        console.width = _WIDE
    return console
