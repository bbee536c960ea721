"""The report that `modelstack model init` prints at its end."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelstack.cli.init.new_model import NewModel
from modelstack.pipeline import outline

_LEAST_ERROR = 0.05
_ROOM = 1.2  # a gate refuses what is worse than now by more than a fifth


def render(made: NewModel, root: Path) -> str:
    """The whole report: files, notes, the stack's section, the next commands, and optional parts."""
    return "\n".join([written(made), *_section(made), *_next(made), "", outline.listed(root)])


def gates(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metric -> a gate, as the stack's file has it, that a model as good as this one passes."""
    found: dict[str, str] = {}
    if "accuracy" in metrics:
        worst = 1 - _ROOM * max(1 - metrics["accuracy"], _LEAST_ERROR)
        found["accuracy"] = f"{{min: {max(0.0, math.floor(worst * 100) / 100):g}}}"
    for name in ("log_loss", "absolute_error"):
        if name in metrics:
            found[name] = f"{{max: {_rounded_up(_ROOM * metrics[name])}}}"
    return found


def _rounded_up(value: float) -> str:
    """A value above 0, rounded up to two digits."""
    if value <= 0:
        return "0.01"
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:.10g}"


def written(made: NewModel) -> str:
    """The written files, notes on them, and how good the model is."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in made.sealed.metrics.items())
    return "\n".join(
        [
            f"written: {', '.join(made.files)}",
            *(f"  - {note}" for note in made.notes),
            f"built: {metrics}, {made.served}",
        ]
    )


def _section(made: NewModel) -> Iterator[str]:
    yield "\nin stacks/Pulumi.local.yaml, replace the section modelstack:model by this one:\n"
    yield "  modelstack:model:"
    yield f"    name: {made.name}"
    found = gates(made.sealed.metrics)
    yield "    gates:" if found else "    gates: {}"
    for name, gate in found.items():
        yield f"      {name}: {gate}"


def _next(made: NewModel) -> Iterator[str]:
    example = made.example or "request.json"
    yield "\nthen type:\n"
    for command, what in (
        *((("python -m modelstack.pipeline example > request.json", "writes a request"),) if not made.example else ()),
        (f"modelstack serve {shlex.quote(str(made.sealed.path))}", "answers on this machine, until Ctrl-C"),
        (f"modelstack loadtest {example}", "sends it again and again, from another shell"),
        ("python -m modelstack.pipeline build", "after each change of model/ or data/"),
        ("pulumi up", "releases it on the local stack"),
        (f"modelstack invoke {example}", "sends a request to that stack"),
    ):
        yield f"  {command}  # {what}"
