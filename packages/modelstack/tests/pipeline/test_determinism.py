"""A model that is fitted differently each time is refused, with the calls that have no seed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from modelstack.pipeline.build import StepFailed, build
from modelstack.pipeline.determinism import unseeded
from modelstack.pipeline.recipe import recipe

FOREST = "RandomForestClassifier(5)"
CODE = """
import random
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
SEED = 1
SETTINGS = {"random_state": SEED}

def train(rows, settings):
    from sklearn.model_selection import KFold as Folds
    np.random.seed(1)
    LinearRegression()
    RandomForestClassifier(**SETTINGS), RandomForestClassifier(random_state=SEED)
    np.random.default_rng(3), np.random.RandomState(3).shuffle([])
    RandomForestClassifier(5)
    RandomForestClassifier(random_state=None)
    Folds(3)
    np.random.default_rng()
    np.random.shuffle([])
    random.random()
"""


def test_only_calls_that_could_have_a_seed_and_have_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "training.py").write_text(CODE)
    module = ModuleType("model.training")
    exec(CODE, vars(module))
    monkeypatch.setitem(sys.modules, "model.training", module)
    files = {"model/training.py": tmp_path / "training.py", "model/notes.txt": tmp_path / "notes.txt"}
    assert list(unseeded(files)) == [
        f"model/training.py, line {line}: {called}"
        for line, called in [
            (15, "RandomForestClassifier"),
            (16, "RandomForestClassifier"),
            (17, "Folds"),
            (18, "np.random.default_rng"),
            (19, "np.random.shuffle"),
            (20, "random.random"),
        ]
    ]


def forest(wine: Path, seed: str = "") -> Path:
    """The wine model with a forest, whose trees draw rows at random."""
    training = wine / "model" / "training.py"
    text = training.read_text().replace("LogisticRegression(C=settings.strength, max_iter=1000)", FOREST)
    text = text.replace(
        "sklearn.linear_model import LogisticRegression", "sklearn.ensemble import RandomForestClassifier"
    )
    training.write_text(text.replace("\n\ndef", f"\n{seed}\n\ndef", 1))
    return wine


@pytest.mark.e2e
def test_a_build_of_an_unseeded_model_is_refused_before_it_is_trained(wine: Path, tmp_path: Path):
    said: list[str] = []
    with pytest.raises(StepFailed) as failed:
        build(forest(wine), recipe(wine, {}), workdir=tmp_path, progress=said.append)
    assert failed.value.refused
    line = (wine / "model" / "training.py").read_text().partition(FOREST)[0].count("\n") + 1
    assert str(failed.value) == (
        "train refused: two fits of the same rows gave different estimators, so that this build could not be repeated; "
        f"give a fixed seed, such as random_state=0, to\n  - model/training.py, line {line}: RandomForestClassifier"
    )
    assert not [line for line in said if "read" in line]


@pytest.mark.e2e
def test_a_seed_for_all_random_numbers_is_one(wine: Path, tmp_path: Path):
    said: list[str] = []
    seeded = forest(wine, "__import__('numpy').random.seed(0)")
    wanted = recipe(seeded, {})
    first = build(seeded, wanted, workdir=tmp_path, progress=said.append)
    assert "train: two fits of a sample gave the same estimator" in said
    said.clear()
    assert (build(seeded, wanted, workdir=tmp_path, progress=said.append), said) == (first, []), (
        "nothing is proven again"
    )
