"""What this checkout's model says of itself. Nothing is trained for that, and none of its libraries is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from pipeline.gate import GateError, reported
from pipeline.recipe import RecipeError, check_parameters, recipe

ROOT = Path(__file__).resolve().parents[1]


def recipe_of(parameters: Mapping[str, Any]) -> str:
    """The recipe digest of the model with the config's parameters.

    Raises:
        pulumi.RunError: The model's folder, data or locks cannot be read; the message says which.
    """
    try:
        return recipe(ROOT, parameters).digest
    except RecipeError as error:
        raise pulumi.RunError(f"the model has no recipe, so nothing was changed: {error}") from None


def wrong_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """What is wrong with parameters, one line each, by the model's own rules."""
    try:
        check_parameters(ROOT, parameters)
    except RecipeError as error:
        return str(error).splitlines()
    return []


def metrics() -> list[str]:
    """The metrics that the model's evaluation reports.

    Raises:
        ValueError: The model does not say.
    """
    try:
        return reported(ROOT)
    except GateError as error:
        raise ValueError(str(error)) from None
