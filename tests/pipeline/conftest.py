"""Checkouts and small models for the tests of the pipeline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import SealedPackage, build
from pipeline.recipe import recipe

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> SealedPackage:
    """A real model on two weeks of flights, trained once a session."""
    return build(ROOT, recipe(ROOT, SMALL), workdir=tmp_path_factory.getbasetemp() / "small-model")


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[str], Path]:
    """Copies of what this checkout builds a model from, each in a folder of its own name."""

    def copy(name: str) -> Path:
        for room in ("model", "pipeline", "monitoring", "requirements"):
            shutil.copytree(ROOT / room, tmp_path / name / room, ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path / name

    return copy


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache of the test's own."""
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "modelstack"
