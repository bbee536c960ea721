"""A pipeline as text: each step, what it follows, takes and gives, and what it may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from modelstack.pipeline.steps import Pipeline, Step


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


def takes(pipeline: Pipeline, step: Step) -> str:
    """Its inputs from outside the pipeline; optional ones in brackets."""
    texts = [one.name for one in pipeline.texts_of(step)]
    return ", ".join([*texts, *(f"[{name}]" for name in pipeline.folders_of(step))])


def gives(step: Step) -> str:
    """The files that its output always has."""
    return ", ".join((*step.gives, *step.beside))


def conditions(step: Step) -> list[str]:
    """When it runs, how often, how long, and on which resources."""
    found = [f"only if {step.only_if} passes"] if step.only_if else []
    found.append("kept by what it is made of" if step.cached else "runs each time")
    found.append(f"at most {_time(step.timeout)}" + (f", tried {step.retries + 1} times" if step.retries else ""))
    needs = step.resources
    found.append(f"{needs.cpus} CPU{'s' if needs.cpus > 1 else ''}, {needs.memory_gb} GB ({needs.instance_type})")
    return found


def _time(seconds: int) -> str:
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
