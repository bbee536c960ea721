"""Fixtures for the tests of this project's model."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstack.pipeline.build import SealedPackage, build
from modelstack.pipeline.recipe import recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sealed() -> SealedPackage:
    """The model on two weeks of flights, with few trees: trained once on this machine."""
    few = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}
    return build(ROOT, recipe(ROOT, few))
