"""The declaration of the pipeline: its steps, their inputs, outputs and costs. Every engine runs it.

A step is one function, `main(given: Given) -> None`, that reads folders and texts and writes files into
one new folder, its **outcome**, which has the step's name. Every engine starts it by the same command, in a process or
a container, from the folder that holds our packages:

    python -m modelstack.pipeline.run train --in data=FOLDER --in code=FOLDER --settings FILE --out FOLDER

    --in NAME=FOLDER    an outcome that the step takes, or an optional input folder of the pipeline
    --set NAME=TEXT     a text that the step takes; others have their defaults
    --settings FILE     texts too, as a JSON object, for engines with short arguments; may hold others
    --out FOLDER        where the outcome goes: empty or missing

The command adds `outcome.json` (see `modelstack.pipeline.outcome`) with the digests of what was made and taken. A step
reads no outcome whose files have other digests. Status 0: done. Status 4: refused, for a reason that is the last line
of stderr, a JSON string; a retry would refuse again. Any other status: failed.

To add a step, write its function, and add it to `STEPS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

VERDICT = "verdict.json"
"""The file that `only_if` reads: `{"passed": true or false, "why": "..."}`."""
COMPARED = "compared.json"
"""The result file of `compare`."""
GROUPS = ("build", "check", "release")
_NAME = re.compile("[a-z][a-z0-9_]{0,30}")
_PROGRAM = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*:[a-z_][a-z0-9_]*")
HOUR = 3600


class PipelineError(ValueError):
    """A declaration that no engine could run; every problem is named."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__("the pipeline is not well declared:" + "".join(f"\n  - {one}" for one in problems))


@dataclass(frozen=True)
class Input:
    """An input of the pipeline: a text, or a folder, which is optional.

    Attributes:
        reader: The function that checks the text, `module:function`, see `modelstack.pipeline.texts`; without one any
        is allowed. required: Whether steps that take the text need another value than its default. of: The folder
        without which the text is useless; it is only required with that.
    """

    name: str
    kind: Literal["folder", "text"]
    says: str
    default: str = ""
    reader: str = ""
    required: bool = False
    of: str | None = None

    def asked(self, folders: Collection[str]) -> bool:
        """Whether it has to be given with these folders."""
        return self.required and (self.of is None or self.of in folders)


@dataclass(frozen=True)
class Resources:
    """The machine resources of a step, with a SageMaker instance type that has at least these."""

    cpus: int = 1
    memory_gb: int = 2
    instance_type: str = "ml.t3.medium"
    volume_gb: int = 30


BIG = Resources(2, 8, "ml.m5.large")
"""For steps that hold the model or its data in memory."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        program: Its function, `module:function`.
        takes: Steps whose outcomes it reads, and inputs of the pipeline.
        gives: The files that its outcome always holds; there may be more. No outcome holds folders.
        beside: Files of the outcome that describe this run, such as times: they are not in its digest.
        cached: Whether an outcome of the same inputs may be reused: the step changes nothing outside.
        only_if: The step, which it takes from, whose `verdict.json` must say `"passed": true`; else it is skipped.
        retries: Maximum retries after a failure, each within `timeout` seconds; a refusal is never retried.
        group: Steps of one group share a job where starting one is slow.
    """

    name: str
    program: str
    says: str
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    cached: bool = True
    only_if: str | None = None
    retries: int = 0
    timeout: int = HOUR
    resources: Resources = Resources()
    group: Literal["build", "check", "release"] = "build"


@dataclass(frozen=True)
class Given:
    """The arguments of a step's function.

    `root` holds `model/`, `requirements/` and our packages; optional folders may be missing; `out` is an empty folder,
    for files only.
    """

    root: Path
    folders: Mapping[str, Path]
    texts: Mapping[str, str]
    out: Path


@dataclass(frozen=True)
class Pipeline:
    """Steps over inputs; raises PipelineError if a name is unknown or repeated, or if steps wait for each other."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if problems := _problems(self.inputs, self.steps):
            raise PipelineError(problems)

    def step(self, name: str) -> Step:
        """The step of a name; raises PipelineError if there is none."""
        for one in self.steps:
            if one.name == name:
                return one
        raise PipelineError([f"there is no step {name!r}; expected one of {', '.join(one.name for one in self.steps)}"])

    def order(self) -> tuple[Step, ...]:
        """The steps, each after those that it takes from; else in the order in which they are declared."""
        left, ordered = list(self.steps), []
        while left:
            done = {one.name for one in ordered}
            waiting = {one.name for one in left}
            ready = next(one for one in left if not waiting & set(one.takes) - done)
            ordered.append(ready)
            left.remove(ready)
        return tuple(ordered)

    def steps_of(self, step: Step) -> tuple[str, ...]:
        """The steps whose outcomes a step takes."""
        names = {one.name for one in self.steps}
        return tuple(name for name in step.takes if name in names)

    def folders_of(self, step: Step) -> tuple[str, ...]:
        """The folders from outside that a step takes; each is optional."""
        names = {one.name for one in self.inputs if one.kind == "folder"}
        return tuple(name for name in step.takes if name in names)

    def texts_of(self, step: Step) -> tuple[Input, ...]:
        """The texts that a step takes."""
        texts = {one.name: one for one in self.inputs if one.kind == "text"}
        return tuple(texts[name] for name in step.takes if name in texts)


def function(program: str) -> Callable[..., Any]:
    """The function that `module:function` names."""
    module, _, name = program.partition(":")
    return getattr(import_module(module), name)


def passed(folder: Path) -> bool:
    """Whether the verdict in an outcome passed."""
    return json.loads((folder / VERDICT).read_bytes())["passed"] is True


def _problems(inputs: tuple[Input, ...], steps: tuple[Step, ...]) -> list[str]:
    problems: list[str] = []
    names = [one.name for one in (*inputs, *steps)]
    problems += [f"{name!r} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [
        f"{name!r} is no name: expected small letters, digits and _, at most 31"
        for name in names
        if not _NAME.fullmatch(name)
    ]
    of_steps = {one.name for one in steps}
    folders = {one.name for one in inputs if one.kind == "folder"}
    for one in inputs:
        if one.reader and not _PROGRAM.fullmatch(one.reader):
            problems.append(f"input {one.name}: reader {one.reader!r}; expected module:function")
        if one.of is not None and one.of not in folders:
            problems.append(f"input {one.name}: of {one.of!r}; expected a folder that the pipeline is given")
    for one in steps:
        problems += [
            f"step {one.name}: takes {name!r}, which is neither a step nor an input"
            for name in one.takes
            if name not in names
        ]
        if not _PROGRAM.fullmatch(one.program):
            problems.append(f"step {one.name}: program {one.program!r}; expected module:function")
        if one.only_if is not None and one.only_if not in of_steps & set(one.takes):
            problems.append(f"step {one.name}: only_if {one.only_if!r}; expected a step that it takes from")
        if one.group not in GROUPS:
            problems.append(f"step {one.name}: group {one.group!r}; expected {', '.join(GROUPS)}")
        if one.retries < 0 or one.timeout <= 0:
            problems.append(
                f"step {one.name}: retries {one.retries}, timeout {one.timeout}; expected 0 or more, above 0"
            )
    try:
        TopologicalSorter({one.name: set(one.takes) & of_steps for one in steps}).prepare()
    except CycleError as error:
        problems.append(f"steps wait for each other: {' -> '.join(reversed(error.args[1]))}")
    return problems


INPUTS = (
    Input(
        "code", "folder", "holds model/, or as model.tar.gz a package whose code is taken; else that of the checkout"
    ),
    Input("raw_data", "folder", "the model's own data files, for data/ beside model/; else those that are there"),
    Input("champion", "folder", "holds as model.tar.gz the package that serves; without it nothing is compared"),
    Input(
        "parameters",
        "text",
        "the model's parameters, a JSON object; of a package in `code`, changes to its own",
        "{}",
        reader="modelstack.pipeline.texts:json_object",
    ),
    Input(
        "through",
        "text",
        "a day, YYYY-MM-DD: learn from what was known then; or nothing",
        reader="modelstack.pipeline.texts:day",
    ),
    Input(
        "recipe",
        "text",
        "the recipe digest that is expected; nothing where it is not known before",
        reader="modelstack.pipeline.texts:recipe",
    ),
    Input(
        "code_digest",
        "text",
        "sha256:<hex> of the package in `code`",
        reader="modelstack.pipeline.texts:digest",
        of="code",
    ),
    Input(
        "champion_digest",
        "text",
        "sha256:<hex> of the package in `champion`",
        reader="modelstack.pipeline.texts:digest",
        required=True,
        of="champion",
    ),
    Input(
        "gates",
        "text",
        'what metrics have to be, JSON, such as {"auc": {"min": 0.6}}',
        "{}",
        reader="modelstack.pipeline.texts:gates",
    ),
    Input(
        "min_gain",
        "text",
        "by how much the loss has to be lower than the champion's, for sure; nothing: not asked",
        reader="modelstack.pipeline.texts:number",
        of="champion",
    ),
    Input(
        "source",
        "text",
        "commit, dirty and remote of the code, a JSON object; else git is asked",
        "{}",
        reader="modelstack.pipeline.origin:read_source",
    ),
    Input(
        "place",
        "text",
        "where the package is registered and who signs it, a JSON object; see docs/how-to/kubeflow.md",
        "{}",
        reader="modelstack.platforms.package_locations:read",
        required=True,
    ),
    Input(
        "lineage",
        "text",
        "what is kept with the version besides its recipe, a JSON object of texts",
        "{}",
        reader="modelstack.pipeline.texts:texts",
    ),
)
_CODE = ("code", "raw_data", "code_digest")
"""Inputs of a step that runs the model's code, or reads it."""

STEPS = (
    Step(
        "data",
        "modelstack.pipeline.inputs:main",
        "find the recipe of code, data, parameters and libraries",
        takes=(*_CODE, "parameters", "through", "recipe"),
        gives=("recipe.json",),
    ),
    Step(
        "train",
        "modelstack.pipeline.train:main",
        "fit the model, and take the reference for drift",
        takes=(*_CODE, "data"),
        gives=("model.joblib", "features.json", "reference.json", "example.json", "training.json"),
        timeout=24 * HOUR,
        resources=BIG,
    ),
    Step(
        "evaluate",
        "modelstack.pipeline.evaluate:main",
        "score the model on data that training could not know",
        takes=(*_CODE, "data", "train"),
        gives=("metrics.json",),
        timeout=6 * HOUR,
        resources=BIG,
    ),
    Step(
        "seal",
        "modelstack.pipeline.seal:main",
        "seal the package, and collect where it came from",
        takes=(*_CODE, "data", "train", "evaluate", "source"),
        gives=("model.tar.gz", "sealed.json"),
        beside=("facts.json",),
        resources=BIG,
    ),
    Step(
        "compare",
        "modelstack.pipeline.compare:main",
        "compare it with the champion, on rows that neither has seen",
        takes=(*_CODE, "data", "seal", "champion", "champion_digest"),
        gives=(COMPARED,),
        timeout=6 * HOUR,
        resources=BIG,
        group="check",
    ),
    Step(
        "gate",
        "modelstack.pipeline.verdict:main",
        "judge its metrics, and what it gains over the champion",
        takes=("seal", "compare", "gates", "min_gain"),
        gives=(VERDICT,),
        group="check",
    ),
    Step(
        "sign",
        "modelstack.platforms.steps:sign",
        "sign what is said of it",
        takes=("seal", "gate", "place"),
        gives=("key.pub",),
        cached=False,
        only_if="gate",
        retries=2,
        group="release",
    ),
    Step(
        "register",
        "modelstack.platforms.steps:register",
        "upload it, and register it for approval",
        takes=("seal", "gate", "sign", "place", "lineage"),
        gives=("registered.json",),
        cached=False,
        only_if="gate",
        retries=2,
        group="release",
    ),
)

PIPELINE = Pipeline(INPUTS, STEPS)
