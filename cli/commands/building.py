"""The command `pipeline show`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.errors import OperatorError
from cli.page import say


@click.group()
def pipeline() -> None:
    """The steps that make a package, wherever they run."""


@pipeline.command()
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write a picture into this file."
)
def show(svg: Path | None) -> None:
    """Show each step: what it follows, takes and gives, when it runs, and what it may cost.

    What stands in brackets may lack. A step that is kept by what it is made of runs only if that has changed. All is
    read from `pipeline/steps.py`, where a step is added in one line.
    """
    from pipeline.steps import PIPELINE  # noqa: PLC0415 - only this command needs it

    if svg is None:
        from cli.flow.text import drawn  # noqa: PLC0415

        say(drawn(PIPELINE))
        return
    from cli.flow.picture import drawn as picture  # noqa: PLC0415

    try:
        svg.write_text(picture(PIPELINE), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{svg}: {error.strerror}", "Name a file in a folder that you may write to.") from None
    say(f"{svg}")
