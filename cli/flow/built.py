"""`make pipeline`: the model of this checkout, with its own defaults, built step by step by each engine.

It prints the digests side by side. No stack's config is read, and nothing is signed or registered.

python -m cli.flow.built            # every engine
python -m cli.flow.built local      # only these
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from cli.page import say
from cli.target import ROOT
from pipeline import outcome
from pipeline.build import build
from pipeline.recipe import Recipe, recipe
from pipeline.step import StepFailed
from pipeline.steps import PIPELINE

Engine = Callable[[Recipe, Callable[[str], None]], Mapping[str, str]]
"""Builds a recipe, saying a line at a time; returns step -> digest of its outcome."""
_DIGITS = 19


def local(wanted: Recipe, progress: Callable[[str], None]) -> Mapping[str, str]:
    """Build on this machine, as `pulumi up` does; what was built before is not built again."""
    folder = build(ROOT, wanted, progress=progress).path.parents[1]
    return {
        one.name: outcome.read(folder / one.name).digest
        for one in PIPELINE.order()
        if one.cached and (folder / one.name / outcome.RECORD).exists()  # those of a release are of another run
    }


ENGINES: Mapping[str, Engine] = {"local": local}


def main(words: Sequence[str]) -> int:
    """Build with each engine; 0 when all made the same package."""
    if unknown := [name for name in words if name not in ENGINES]:
        say(f"{unknown[0]!r} is not known: expected {', '.join(ENGINES)}", err=True)
        return 2
    wanted = recipe(ROOT, {})
    found: dict[str, Mapping[str, str]] = {}
    for name in words or ENGINES:
        say(f"{name} builds recipe {wanted.id}")
        try:
            found[name] = ENGINES[name](wanted, lambda line: say(f"  {line}"))
        except StepFailed as error:
            say(str(error), err=True)
            return 1
    say("\n" + beside(found))
    sealed = {digests.get("seal") for digests in found.values()}
    if len(sealed) > 1 or None in sealed:
        say("The packages differ.", err=True)
        return 1
    return 0


def beside(found: Mapping[str, Mapping[str, str]]) -> str:
    """Engine -> step -> digest, as a table with an engine a column."""
    steps = list(dict.fromkeys(step for digests in found.values() for step in digests))
    rows = [("step", *found)]
    rows += [(step, *(digests.get(step, "-")[:_DIGITS] for digests in found.values())) for step in steps]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
