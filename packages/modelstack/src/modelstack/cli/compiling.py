"""Compiles a stack's pipeline for an external engine.

Options override the stack's file, which sets model name, parameters, gates and training image. Git gives the source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.pipeline import inputs, origin
from modelstack.pipeline.contract import RecipeError, Refusal
from modelstack.pipeline.declared import check_parameters
from modelstack.pipeline.engines.kubeflow import KubeflowSite, Secret, compiled, problems
from modelstack.pipeline.forms import DIGEST
from modelstack.pipeline.gate import GateError, reported, unknown_metrics
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.steps import PIPELINE
from modelstack.pipeline.texts import day, json_object

IMAGE = "modelstack:retraining.image"


@dataclass(frozen=True)
class CompileInputs:
    """The command's options, mostly by name; `wrong` has a message per malformed one.

    Attributes:
        image: Empty for that of the stack's file.
        secrets: Variable -> `SECRET/KEY`, or folder -> `SECRET`.
    """

    image: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    folders: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    wrong: tuple[str, ...] = ()

    @classmethod
    def typed(cls, image: str, texts: Iterable[str], folders: Iterable[str], secrets: Iterable[str]) -> CompileInputs:
        """Parse the options, each `NAME=VALUE`."""
        wrong: list[str] = []
        return cls(
            image,
            _named(texts, "--set", "NAME=TEXT", wrong),
            _named(folders, "--folder", "NAME=ADDRESS", wrong),
            _named(secrets, "--secret", "VARIABLE=SECRET/KEY or /FOLDER=SECRET", wrong),
            tuple(wrong),
        )


def kubeflow(stack: Stack, given: CompileInputs) -> str:
    """The pipeline for Kubeflow Pipelines, as IR YAML; OperatorError with one line per problem."""
    file = stack.root / "stacks" / f"Pulumi.{stack.name}.yaml"
    if not file.is_file():
        raise OperatorError(f"there is no stack {stack.name}: no file {file.relative_to(stack.root)}", exit_code=2)
    config = stack.written().get("config") or {}
    model, retraining = (_section(config, name, file.name) for name in ("modelstack:model", "modelstack:retraining"))
    image = str(given.image or retraining.get("image") or "")
    texts = {name: canonical(_plain(model[name])) for name in ("parameters", "gates") if model.get(name)}
    texts |= {} if "code_digest" in given.texts else {"source": _source(stack)}
    secrets = {variable: _secret(text) for variable, text in given.secrets.items()}
    name = str(model.get("name") or stack.name)
    site = KubeflowSite(name, image, {**texts, **given.texts}, given.folders, secrets)
    if wrong := [*given.wrong, *problems(PIPELINE, site), *_not_of_model(stack.root, site.texts)]:
        said = f"; what is not given is from {file.name}" if texts.keys() - given.texts.keys() - {"source"} else ""
        none = f"{file.name} has no {IMAGE}. `make image STACK={stack.name}` builds one, and prints its name."
        raise OperatorError("\n".join([f"the pipeline cannot be compiled{said}:", *wrong]), None if image else none, 2)
    return compiled(PIPELINE, site)


def _section(config: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    found = config.get(name) or {}
    if not isinstance(found, Mapping):
        raise OperatorError(f"{file}: {name} is {found!r}, and is to hold fields, each as `name: value`", exit_code=2)
    return found


def _plain(value: Any) -> Any:
    """A value of the file as Pulumi reads it: a date is a text."""
    return json.loads(json.dumps(value, default=str))


def _not_of_model(root: Path, texts: Mapping[str, str]) -> list[str]:
    """Problems with the checkout's model; none with a packaged model, whose rules are unknown here."""
    if DIGEST.fits(texts.get("code_digest")):
        return []
    through = _readable(day, "through", texts) or ""
    changes, gates = (_readable(json_object, name, texts, "{}") for name in ("parameters", "gates"))
    return [
        *(_wrong_parameters(root, changes, str(through)) if changes is not None else ()),
        *(_wrong_gates(root, gates) if gates is not None else ()),
    ]


def _readable(reader: Callable[[str, str], Any], name: str, texts: Mapping[str, str], default: str = "") -> Any:
    """A parsed text; None if it is malformed, which is reported elsewhere."""
    try:
        return reader(name, texts.get(name, default))
    except Refusal:
        return None


def _wrong_parameters(root: Path, changes: Mapping[str, Any], through: str) -> list[str]:
    try:
        check_parameters(root, changes)
    except RecipeError as error:
        return [f"parameters.{line}" for line in str(error).splitlines()]
    try:
        inputs.parameters(root, None, changes, through)
    except RecipeError as error:
        return str(error).splitlines()
    return []


def _wrong_gates(root: Path, gates: Mapping[str, Any]) -> list[str]:
    try:
        return [f"gates.{name}: {why}" for name, why in unknown_metrics(gates, reported(root)).items()]
    except GateError as error:
        return [f"gates: {error}"]


def asked_of_runs(given: CompileInputs) -> list[str]:
    """Inputs that a run must be given when it starts."""
    return [one.name for one in PIPELINE.inputs if one.name not in given.texts and one.asked(given.folders)]


def _named(words: Iterable[str], option: str, form: str, wrong: list[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; malformed and repeated ones are added to `wrong`."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            wrong.append(f"{option} {word!r} is not allowed: expected {form}")
        elif name in found:
            wrong.append(f"{option} {name} is given twice")
        else:
            found[name] = value
    return found


def _source(stack: Stack) -> str:
    told: Mapping[str, Any] = asdict(origin.source(stack.root))
    return canonical({name: value for name, value in told.items() if value is not None})


def _secret(text: str) -> Secret:
    name, _, key = text.partition("/")
    return Secret(name, key)
