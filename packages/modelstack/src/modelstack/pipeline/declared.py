"""Declarations in a model's `parameters.py` and `sources.py`, read without the model's libraries."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from modelstack.pipeline.contract import NothingNewer, RecipeError
from modelstack.serving.parameter_types import NoParameters, ParameterError, as_dict, as_json, day, parse


def check_parameters(root: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the defaults of `model/parameters.py` filled in; the error has a line for each wrong one."""
    return as_dict(_settings(_module(root / "model" / "parameters.py"), given))


def variant(root: Path, given: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The parameters of another version that is about as good, for a number from 1 to 1,000,000."""
    module = _module(root / "model" / "parameters.py")
    return {**given, **_called(module, "variant", _settings(module, given), number)}


def faulty(root: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a version whose requests fail; raises RecipeError if the model defines none."""
    return {**given, **_named(_module(root / "model" / "parameters.py"), "FAULTY")}


def retrained(root: Path, given: Mapping[str, Any], through: str) -> dict[str, Any]:
    """The parameters to change to learn from what is known at the beginning of the day `through`, YYYY-MM-DD.

    Raises NothingNewer if the model has no newer data for that day, RecipeError if the day or `parameters.py` is wrong.
    """
    module = _module(root / "model" / "parameters.py")
    settings = _settings(module, given)
    try:
        at = day(through)
    except (TypeError, ValueError):
        raise RecipeError(f"through: {through!r} is not allowed: expected a day as YYYY-MM-DD") from None
    changes = _called(module, "retrained", settings, at)
    if not changes:
        raise NothingNewer(f"through: {through!r} is not allowed: the model knows all that it can know on that day")
    return changes


def _settings(module: ModuleType | None, given: Mapping[str, Any]) -> Any:
    declared = getattr(module, "Parameters", NoParameters)
    try:
        return parse(declared, given)
    except ParameterError as error:
        raise RecipeError(str(error)) from None
    except Exception as error:
        raise RecipeError(f"{_file(module)} failed: {type(error).__name__}: {error}") from error


def _called(module: ModuleType | None, name: str, *values: Any) -> dict[str, Any]:
    """The result of a function of the model, as JSON values."""
    function = _named(module, name)
    try:
        found: Mapping[str, Any] = function(*values) or {}
        return {key: as_json(value) for key, value in found.items()}
    except Exception as error:
        raise RecipeError(f"{_file(module)} failed: {type(error).__name__}: {error}") from error


def _file(module: ModuleType | None) -> str:
    return str(module.__file__) if module else "model/parameters.py"


def _named(module: ModuleType | None, name: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise RecipeError(
            f"{_file(module)} has no {name}, which says how other versions are made: see docs/how-to/own-model.md"
        )
    return found


def raw_data(root: Path) -> tuple[dict[str, Path], str]:
    """The raw data files (name -> path) and the version that `model/sources.py` declares; RecipeError if it fails."""
    sources = _module(root / "model" / "sources.py")
    try:
        return getattr(sources, "files", dict)(), getattr(sources, "version", str)()
    except Exception as error:
        said = str(error) if isinstance(error, OSError) else f"{_file(sources)} failed: {type(error).__name__}: {error}"
        raise RecipeError(said) from error


def _module(path: Path) -> ModuleType | None:
    """Run one file of the model from its source, isolated from any imported `model`; None if there is no such file."""
    name = f"_recipe_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look up their module here
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102  the team's own code
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:
        raise RecipeError(f"{path} failed: {type(error).__name__}: {error}") from error
    return module
