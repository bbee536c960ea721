"""A pipeline as text: each step, what it follows, takes and gives, and what it may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.flow.words import conditions, gives, takes
from pipeline.steps import Pipeline, Step


def drawn(pipeline: Pipeline) -> str:
    """The pipeline in its sequential order."""
    order = pipeline.order()
    width = max(len(one.name) for one in order)
    lines: list[str] = []
    group = ""
    for one in order:
        if one.group != group:
            lines += [*([""] if lines else []), one.group]
            group = one.group
        lines += [
            f"  {one.name:<{width}}  {text}" if first else f"  {'':<{width}}  {text}"
            for first, text in _of(pipeline, one)
        ]
    return "\n".join(lines)


def _of(pipeline: Pipeline, one: Step) -> Iterator[tuple[bool, str]]:
    yield True, one.says
    if after := pipeline.steps_of(one):
        yield False, f"after  {', '.join(after)}"
    if told := takes(pipeline, one):
        yield False, f"takes  {told}"
    if given := gives(one):
        yield False, f"gives  {given}"
    yield False, f"costs  {'; '.join(conditions(one))}"
