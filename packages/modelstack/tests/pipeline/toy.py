"""A pipeline of three small steps, to test engines without training a model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pipeline.steps
from pipeline.steps import Pipeline

ROOT = Path(__file__).resolve().parents[2]
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

from pipeline.contract import Refusal


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


def toy(root: Path) -> Toy:
    shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("monitoring", "provenance", "serving"):
        (root / room).symlink_to(ROOT / room)
    steps = root / "pipeline" / "steps.py"
    steps.write_text(steps.read_text() + DECLARED)
    (root / "toy.py").write_text(STEPS)
    declared = dict(vars(pipeline.steps))
    exec(DECLARED, declared)
    return Toy(root, declared["PIPELINE"])
