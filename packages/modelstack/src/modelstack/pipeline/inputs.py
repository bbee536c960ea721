"""Step `data`: compute the recipe of code, data, parameters and libraries, before anything is trained.

Gives `recipe.json`: the recipe's `digest` and its `parts`. Later steps take the parameters from there, and refuse a
checkout with another recipe. Data is not copied: each step reads the files whose digest is in the recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modelstack.pipeline import outline
from modelstack.pipeline.checkout import sealed_code
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.declared import retrained
from modelstack.pipeline.locks import locked, to_install, trained_with
from modelstack.pipeline.recipe import Recipe, canonical, model_files, recipe
from modelstack.pipeline.steps import Given
from modelstack.pipeline.texts import json_object

RECIPE = "recipe.json"


def main(given: Given) -> None:
    """Run the step."""
    outline.check(given.root)
    check_libraries(given.root)
    package = sealed_code(given.folders.get("code"), given.texts["code_digest"])
    changes = json_object("parameters", given.texts["parameters"])
    asked = parameters(given.root, package, changes, given.texts["through"])
    found = recipe(given.root, asked)
    expected = given.texts["recipe"]
    if expected and found.digest != expected:
        raise Refusal(
            f"the checkout changed after its recipe {expected[:12]} was computed, it is {found.id} now: run again"
        )
    print(f"recipe {found.id}")
    (given.out / RECIPE).write_text(canonical({"digest": found.digest, "parts": dict(found.parts)}))


def recipe_in(folder: Path) -> Recipe:
    """The recipe in the outcome of this step."""
    said = json.loads((folder / RECIPE).read_bytes())
    return Recipe(said["digest"], said["parts"])


def check_unchanged(root: Path, data: Path) -> None:
    """Refuse a checkout whose recipe differs from the one in `data`, the outcome of the step of that name."""
    wanted = recipe_in(data)
    found = recipe(root, wanted.parameters)
    if found.digest != wanted.digest:
        raise Refusal(f"the checkout changed while recipe {wanted.id} was being built, it is {found.id} now: run again")


def parameters(
    root: Path, package: Mapping[str, Any] | None, changes: Mapping[str, Any], through: str
) -> dict[str, Any]:
    """The parameters of the package, if any, changed by `changes`, and retrained up to the day `through`."""
    asked = {**(package["parameters"] if package else {}), **changes}
    return {**asked, **retrained(root, asked, through)} if through else asked


class Difference(NamedTuple):
    """A package whose locked version is not the installed one; `found` is None if it is not installed."""

    lock: str
    name: str
    locked: str
    found: str | None


def check_libraries(root: Path) -> None:
    """Refuse to train with other libraries than those in the recipe and in the container."""
    for one in differences(root):
        raise Refusal(
            f"requirements/{one.lock}.txt locks {one.name} {one.locked}, this environment has it "
            f"{one.found or 'not installed'}: run `{to_install(root / 'requirements')}`"
        )


def differences(root: Path) -> list[Difference]:
    """The packages that train or serve the model, and that are installed in another version than is locked."""
    from importlib import metadata  # noqa: PLC0415  slow to load, and only this step needs it

    folder = root / "requirements"
    wanted = {"app": trained_with(folder, model_files(root)), "serving": locked(folder / "serving.txt")}
    different: list[Difference] = []
    for lock, name, expected in ((lock, *one) for lock, found in wanted.items() for one in found.items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = None
        if found != expected:
            different.append(Difference(lock, name, expected, found))
    return different
