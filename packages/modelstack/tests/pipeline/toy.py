"""A pipeline of three small steps, to test engines without training a model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import modelstack.pipeline.steps
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.steps import Pipeline

DECLARED = """

PIPELINE = Pipeline(
    (*INPUTS, Input("word", "text", "what it is about", "stone"), Input("wish", "text", "of its verdict", "{}")),
    (
        Step("first", "toy:first", "write the word", takes=("word", "recipe"), gives=("word.txt",)),
        Step("second", "toy:second", "judge it", takes=("first", "wish"), gives=("verdict.json",), retries=2),
        Step("third", "toy:third", "tell it", takes=("second",), gives=("told.txt",), only_if="second", cached=False),
    ),
)
"""
STEPS = """
import json, os, sys, time
from pathlib import Path

from modelstack.pipeline.contract import Refusal


def first(given):
    print("writing", given.texts["word"])
    (given.out / "word.txt").write_text(given.texts["word"])


def second(given):
    passed = json.loads(given.texts["wish"]).get("passed", True)
    (given.out / "verdict.json").write_text(json.dumps({"passed": passed, "why": ""}))


def third(given):
    (given.out / "told.txt").write_text("told")
"""


@dataclass(frozen=True)
class Toy:
    """A checkout with the toy pipeline."""

    root: Path
    pipeline: Pipeline

    def second(self, body: str) -> None:
        """Replace the second step's body, in which `tries` counts its earlier runs."""
        count = "tries = len(list(given.root.glob('tried-*')))\n    (given.root / f'tried-{tries}').touch()"
        text = f"{STEPS}\n\ndef second(given):\n    {count}\n    {body}\n"
        (self.root / "toy.py").write_text(text)

    @property
    def tries(self) -> int:
        return len(list(self.root.glob("tried-*")))


def library(root: Path) -> None:
    """Put a copy of the library into a folder, with a pipeline that may be changed."""
    (root / "modelstack").mkdir(parents=True)
    for path in (SOURCES / "modelstack").iterdir():
        if path.name not in ("pipeline", "__pycache__"):
            (root / "modelstack" / path.name).symlink_to(path)
    pipeline_ = root / "modelstack" / "pipeline"
    shutil.copytree(SOURCES / "modelstack/pipeline", pipeline_, ignore=shutil.ignore_patterns("__pycache__"))


def toy(root: Path) -> Toy:
    library(root)
    steps = root / "modelstack" / "pipeline" / "steps.py"
    steps.write_text(steps.read_text() + DECLARED)
    (root / "toy.py").write_text(STEPS)
    declared = dict(vars(modelstack.pipeline.steps))
    exec(DECLARED, declared)
    return Toy(root, declared["PIPELINE"])
