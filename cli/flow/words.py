"""Short phrases that describe a step. Pure."""

from __future__ import annotations

from pipeline.steps import Pipeline, Step


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
