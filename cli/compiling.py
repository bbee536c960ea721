"""The pipeline of a stack, written for the engine that runs it elsewhere.

    text = kubeflow(Stack("dev"), Given(image="registry/modelstack@sha256:...", folders={"code": "s3://bucket/code"}))

What a run takes by default stands in the stack's file: the model's name, its parameters and gates, and the image that
trains. What is given counts more. Where the code comes from, git is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cli.errors import OperatorError
from cli.local.stack import Stack
from pipeline import inputs, origin
from pipeline.contract import RecipeError, Refusal
from pipeline.declared import check_parameters
from pipeline.engines.kubeflow import Secret, Site, compiled, problems
from pipeline.forms import DIGEST
from pipeline.gate import GateError, reported, unknown_metrics
from pipeline.recipe import canonical
from pipeline.steps import PIPELINE
from pipeline.texts import day, json_object

IMAGE = "modelstack:retraining.image"


@dataclass(frozen=True)
class CompileInputs:
    """What is given beside the stack's file.

    Attributes:
        image: The image that trains; empty for that of the file.
        texts: Input of the pipeline -> text.
        folders: Input of the pipeline -> address of a folder.
        secrets: Variable -> `SECRET/KEY`, or folder -> `SECRET`.
        wrong: What was typed and says none of these, a line each.
    """

    image: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    folders: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    wrong: tuple[str, ...] = ()

    @classmethod
    def typed(cls, image: str, texts: Iterable[str], folders: Iterable[str], secrets: Iterable[str]) -> CompileInputs:
        """What the words of the command's options say, each `NAME=VALUE`."""
        wrong: list[str] = []
        return cls(
            image,
            _named(texts, "--set", "NAME=TEXT", wrong),
            _named(folders, "--folder", "NAME=ADDRESS", wrong),
            _named(secrets, "--secret", "VARIABLE=SECRET/KEY or /FOLDER=SECRET", wrong),
            tuple(wrong),
        )


def kubeflow(stack: Stack, given: CompileInputs) -> str:
    """The pipeline for Kubeflow Pipelines, as IR YAML.

    Raises:
        OperatorError: There is no such stack, or no run could use what is given; then the message has a line for each
            problem.
    """
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
    site = Site(name, image, {**texts, **given.texts}, given.folders, secrets)
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
    """A value of the file as Pulumi takes it: a day is a text."""
    return json.loads(json.dumps(value, default=str))


def _not_of_model(root: Path, texts: Mapping[str, str]) -> list[str]:
    """What the model of the checkout does not allow, by the rules of its config; of a package's nothing is known."""
    if DIGEST.fits(texts.get("code_digest")):
        return []
    through = _readable(day, "through", texts) or ""
    changes, gates = (_readable(json_object, name, texts, "{}") for name in ("parameters", "gates"))
    return [
        *(_wrong_parameters(root, changes, str(through)) if changes is not None else ()),
        *(_wrong_gates(root, gates) if gates is not None else ()),
    ]


def _readable(reader: Callable[[str, str], Any], name: str, texts: Mapping[str, str], default: str = "") -> Any:
    """What a text says; None of one that cannot be read, which is told already."""
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
    """The texts that whoever starts a run has to give."""
    return [one.name for one in PIPELINE.inputs if one.name not in given.texts and one.asked(given.folders)]


def _named(words: Iterable[str], option: str, form: str, wrong: list[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; those of another form, and a name that stands twice, go to what is wrong."""
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
