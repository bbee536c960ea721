"""One small sealed model for the tests of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import archive
from pipeline.build import SealedPackage, build
from pipeline.recipe import recipe

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}


@pytest.fixture(scope="session")
def sealed() -> SealedPackage:
    """A real model on two weeks of flights, trained once on this machine."""
    return build(ROOT, recipe(ROOT, SMALL))


@pytest.fixture
def unpacked(sealed: SealedPackage, tmp_path: Path) -> Path:
    """Its archive, unpacked into a folder of the test's own."""
    folder = tmp_path / "model"
    archive.unpack(sealed.path, folder)
    return folder
