"""From a recipe to a sealed package, doing nothing twice.

    sealed = build(root, wanted, gates={"auc": {"min": 0.6}}, progress=print)

Every step's outcome is kept in `workdir/packages/<recipe>/` and appears there complete or not at all, so a build that
was interrupted, or refused by its gates, goes on from the last step that ended. Two builds of one recipe at once share
the work: the second waits for the first. By default the folder is in the user's cache, where checkouts with the same
pipeline share it: what one of them has trained, no other trains again. The packages used last stay there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline import archive, origin, outline, step
from pipeline.gate import GateRefused, Gates, check_gates, gate
from pipeline.locks import locked, trained_with
from pipeline.pack import SealedPackage, describe, pack
from pipeline.recipe import Recipe, cache_folder, canonical, listing_digest, model_files, sha256_of
from pipeline.recipe import recipe as current_recipe
from pipeline.step import StepFailed

__all__ = ["BuildError", "GateRefused", "SealedPackage", "StepFailed", "build"]

ARCHIVE = "model.tar.gz"
MOST_KEPT = 100
"""Packages in the user's cache; one of the default model takes a few hundred kilobytes."""


class BuildError(Exception):
    """The environment or the checkout is not what the recipe says; the message names the difference and the remedy."""


def build(
    root: Path,
    recipe: Recipe,
    parameters: Mapping[str, Any] | None = None,
    gates: Gates | None = None,
    workdir: Path | None = None,
    *,
    progress: Callable[[str], None] = print,
) -> SealedPackage:
    """Train, evaluate, gate and seal the model of a recipe; what was done before is not done again.

    Args:
        root: The checkout that the recipe was made from.
        recipe: What to build.
        parameters: The parameters the recipe was made with; None takes them from the recipe.
        gates: Metric -> `min` and/or `max`. They judge the model and do not determine it: they are not in the recipe.
        workdir: Where outcomes are kept; `shared(root)` by default.
        progress: Called with a line at a time.

    Raises:
        GateRefused: The metrics are out of bounds. The outcome is kept: other gates need no new training.
        ContractBroken: The model's folder lacks something that the steps call; nothing was begun.
        StepFailed: The model's code raised, or its data cannot be used.
        BuildError: The installed libraries are not those locked, or the checkout has changed since the recipe was made.
    """
    outline.check(root)
    check_gates(gates or {})
    if parameters is not None and current_recipe(root, parameters).digest != recipe.digest:
        raise BuildError(f"the checkout in {root} changed after its recipe {recipe.id} was computed: run again")
    folder = (workdir or shared(root)) / "packages" / recipe.digest
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    with _lock(folder / "lock", progress):
        sealed = _kept(folder, progress)
        if sealed is None:
            sealed = _make(root, recipe, folder, progress)
        else:
            origin.found_again(root, sealed)
    if workdir is None:
        _forget_all_but_the_newest(cache_folder().glob("pipeline-*/packages/*"))
    gate(sealed.metrics, gates or {})
    return sealed


def shared(root: Path) -> Path:
    """Return the folder in the user's cache of all checkouts whose pipeline has the same code."""
    rooms = ("pipeline", "monitoring", "provenance", "serving")
    code = {
        path.relative_to(root).as_posix(): sha256_of(path) for room in rooms for path in (root / room).rglob("*.py")
    }
    return cache_folder() / f"pipeline-{listing_digest(code)[:12]}"


def _forget_all_but_the_newest(folders: Iterable[Path]) -> None:
    used: dict[Path, float] = {}
    for folder in folders:
        with suppress(FileNotFoundError):  # another build forgets, too
            used[folder] = folder.stat().st_mtime
    for folder in sorted(used, key=used.__getitem__)[:-MOST_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _make(root: Path, recipe: Recipe, folder: Path, progress: Callable[[str], None]) -> SealedPackage:
    _check_libraries(root)
    arguments = ["--parameters", recipe.parts["parameters"]]

    def train(out: Path) -> None:
        step.run(root, "pipeline.train", [*arguments, "--out", str(out)], progress)

    def evaluate(out: Path) -> None:
        step.run(root, "pipeline.evaluate", [*arguments, "--trained", str(trained), "--out", str(out)], progress)

    trained = _once(folder / "trained", train)
    evaluated = _once(folder / "evaluated", evaluate)
    _check_served(root, evaluated)
    if current_recipe(root, recipe.parameters).digest != recipe.digest:
        shutil.rmtree(folder, ignore_errors=True)
        raise BuildError(f"the checkout in {root} changed while recipe {recipe.id} was being built: run again")
    sealed = pack(root, recipe, trained, evaluated, folder / ARCHIVE)
    origin.write(origin.collect(root, recipe, sealed), sealed)
    _write(folder / "sealed.json", canonical({"digest": sealed.digest}))
    progress(f"sealed {sealed.digest} ({sealed.path.stat().st_size:,} bytes)")
    return sealed


def _check_served(root: Path, evaluated: Path) -> None:
    """Refuse a model that the image could not load: one without a fast form, where the image has no scikit-learn."""
    if (evaluated / archive.FAST_FORM).exists() or outline.loads_itself(root):
        return
    if not {"joblib", "scikit-learn"} <= locked(root / "requirements" / "serving.txt").keys():
        why = json.loads((evaluated / "metrics.json").read_bytes())["fast_form"]["why_not"]
        raise BuildError(
            f"the model has no fast form ({why}), so what serves it needs scikit-learn: add joblib and scikit-learn to "
            "requirements/serving.in, and run `make lock` and `make setup`"
        )


def _kept(folder: Path, progress: Callable[[str], None]) -> SealedPackage | None:
    try:
        digest: str = json.loads((folder / "sealed.json").read_text())["digest"]
        sealed = describe(folder / ARCHIVE, digest)
        origin.facts_of(sealed)
        return sealed
    except FileNotFoundError:
        return None
    except (archive.ArchiveError, origin.OriginError, ValueError, KeyError) as error:
        progress(f"the kept package is damaged and is made anew: {error}")
        for name in ("trained", "evaluated"):
            shutil.rmtree(folder / name, ignore_errors=True)
        return None


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled, now or in an earlier run."""
    if folder.is_dir():
        return folder
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    make(partial)
    for file in partial.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    partial.rename(folder)
    return folder


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def _check_libraries(root: Path) -> None:
    """Refuse to train with other libraries than those the recipe names and the container holds."""
    folder = root / "requirements"
    wanted = {"app": trained_with(folder, model_files(root)), "serving": locked(folder / "serving.txt")}
    for lock, name, expected in ((lock, *one) for lock, found in wanted.items() for one in found.items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found != expected:
            raise BuildError(
                f"requirements/{lock}.txt locks {name} {expected}, this environment has it {found}: run `make setup`"
            )


@contextmanager
def _lock(path: Path, progress: Callable[[str], None]) -> Generator[None]:
    """Hold the lock of a recipe; the system lets it go when this process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process builds the same model: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
