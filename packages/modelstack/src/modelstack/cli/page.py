"""Output of commands. All text goes through `Page` or `say`, so that foreign text cannot control the terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import IO, cast

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from modelstack.rollout.signs import clean

_WIDE = 4000


class _Trimmed:
    """A text file without trailing blanks, with which rich pads tables."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(re.sub(r" +(?=\n)", "", text))
        return len(text)

    def flush(self) -> None:
        self._file.flush()


class Page(Console):
    """A console that cleans every text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Clean all text; rich's own control segments, such as colors, pass."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a text without control characters."""
    click.echo(clean(str(text)), err=err, nl=nl)


def give(data: str) -> None:
    """Print data for programs: cleaned on a terminal, unchanged elsewhere."""
    click.echo(clean(data) if sys.stdout.isatty() else data)


def page() -> Page:
    """Standard output. Off a terminal, lines are not wrapped, so that phrases can be searched, unless COLUMNS is set.

    Markup is off, because a person's reason may have brackets.
    """
    console = Page(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    console = Page(highlight=False, markup=False, emoji=False, file=cast(IO[str], _Trimmed(sys.stdout)))
    if not os.environ.get("COLUMNS"):
        console.width = _WIDE
    return console
