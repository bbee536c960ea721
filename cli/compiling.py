"""The pipeline of a stack, written for the engine that runs it elsewhere.

    text = kubeflow(Stack("dev"), Given(image="registry/modelstack@sha256:...", folders={"code": "s3://bucket/code"}))

What a run takes by default stands in the stack's file: the model's name, its parameters and gates, and the image that
trains. What is given counts more. Where the code comes from, git is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cli.errors import OperatorError
from cli.local.stack import Stack
from pipeline import origin
from pipeline.engines.kubeflow import Secret, Site, SiteError, compiled
from pipeline.recipe import canonical
from pipeline.steps import PIPELINE

IMAGE = "modelstack:retraining.image"


@dataclass(frozen=True)
class Given:
    """What is given beside the stack's file.

    Attributes:
        image: The image that trains; empty for that of the file.
        texts: Input of the pipeline -> text.
        folders: Input of the pipeline -> address of a folder.
        secrets: Variable -> `SECRET/KEY`, or folder -> `SECRET`.
    """

    image: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    folders: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])


def kubeflow(stack: Stack, given: Given) -> str:
    """The pipeline for Kubeflow Pipelines, as IR YAML.

    Raises:
        OperatorError: There is no image, or something given is unknown or of another form.
    """
    file = stack.root / "stacks" / f"Pulumi.{stack.name}.yaml"
    if not file.is_file():
        raise OperatorError(f"there is no stack {stack.name}: no file {file.relative_to(stack.root)}", exit_code=2)
    config = stack.written().get("config") or {}
    model = config.get("modelstack:model") or {}
    image = given.image or (config.get("modelstack:retraining") or {}).get("image")
    if not image:
        raise OperatorError(
            f"there is no image for the steps: the file of stack {stack.name} has no {IMAGE}, and --image is not given",
            f"`make image STACK={stack.name}` builds one, and prints its name.",
            2,
        )
    texts = {name: canonical(model[name]) for name in ("parameters", "gates") if model.get(name)}
    texts |= {} if "code_digest" in given.texts else {"source": _source(stack)}
    secrets = {variable: _secret(text) for variable, text in given.secrets.items()}
    name = str(model.get("name") or stack.name)
    try:
        return compiled(PIPELINE, Site(name, str(image), {**texts, **given.texts}, given.folders, secrets))
    except SiteError as error:
        raise OperatorError(f"the pipeline cannot be compiled: {error}", exit_code=2) from None


def named(words: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping.

    Raises:
        OperatorError: One has another form, or a name stands twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise OperatorError(f"{option} {word!r} is not allowed: expected {form}", exit_code=2)
        if name in found:
            raise OperatorError(f"{option} {name} is given twice", exit_code=2)
        found[name] = value
    return found


def _source(stack: Stack) -> str:
    told: Mapping[str, Any] = asdict(origin.source(stack.root))
    return canonical({name: value for name, value in told.items() if value is not None})


def _secret(text: str) -> Secret:
    name, _, key = text.partition("/")
    return Secret(name, key)
