"""From a recipe to a sealed package, without repeating finished work.

Outcomes are stored in `workdir/packages/<recipe>/`, by default in the user's cache, which checkouts with the same
pipeline share; the most recently used packages stay there. A second concurrent build of one recipe waits for the first.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modelstack.pipeline import origin, outcome, outline
from modelstack.pipeline.engines import local
from modelstack.pipeline.engines.local import Here
from modelstack.pipeline.gate import GateRefused, Gates, check_gates, refusal
from modelstack.pipeline.pack import Registered, SealedPackage, sealed_in
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.recipe import Recipe, cache_folder, canonical, listing_digest, sha256_of
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.steps import PIPELINE, VERDICT
from modelstack.records.provenance.evidence import FACTS

__all__ = ["GateRefused", "SealedPackage", "StepFailed", "build", "release"]

MOST_KEPT = 100
"""Packages in the user's cache; one of the default model takes a few hundred kilobytes."""
REGISTERED = "registered.json"
"""The file of the step `register`: `Registered` as a JSON object."""


def build(
    root: Path,
    recipe: Recipe,
    gates: Gates | None = None,
    workdir: Path | None = None,
    *,
    progress: Callable[[str], None] = print,
) -> SealedPackage:
    """Train, evaluate, seal and gate the model of a recipe; finished work is not repeated.

    `gates` judge the model and do not determine it: they are not in the recipe. Outcomes are stored in `workdir`, by
    default `shared()`.

    Raises:
        GateRefused: The metrics are out of bounds. The outcome is stored: other gates need no new training.
        ContractBroken: The model's folder misses something that the steps call; nothing was started.
        StepFailed: A step refused or failed, for instance because the checkout changed since its recipe was made.
    """
    with _built(root, recipe, gates, workdir, progress) as made:
        return made.sealed


def release(
    root: Path,
    recipe: Recipe,
    gates: Gates | None = None,
    workdir: Path | None = None,
    *,
    here: Here,
    progress: Callable[[str], None] = print,
) -> Registered:
    """Build the model of a recipe, sign its documents, and register it for approval, with the steps in `here`."""
    with _built(root, recipe, gates, workdir, progress) as made:
        found = local.run(
            PIPELINE, root, made.texts, keep=made.folder, groups=("release",), here=here, progress=progress
        )
        return registered_in(_there(found["register"]))


def registered_in(folder: Path) -> Registered:
    """The version in the outcome of the step `register`."""
    return Registered(**json.loads((folder / REGISTERED).read_bytes()))


@dataclass(frozen=True)
class _Built:
    """A package that was built, while its folder is locked."""

    sealed: SealedPackage
    folder: Path
    texts: Mapping[str, str]


@contextmanager
def _built(
    root: Path, recipe: Recipe, gates: Gates | None, workdir: Path | None, progress: Callable[[str], None]
) -> Generator[_Built]:
    outline.check(root)
    check_gates(gates or {})
    folder = (workdir or shared()) / "packages" / recipe.digest
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    texts = {"recipe": recipe.digest, "parameters": recipe.parts["parameters"], "gates": canonical(gates or {})}
    with _lock(folder / ".lock", progress):
        before = (folder / "seal").is_dir()
        found = local.run(PIPELINE, root, texts, keep=folder, groups=("build", "check"), progress=progress)
        sealed = sealed_in(_there(found["seal"]))
        if before and (again := origin.found_again(root, sealed)):
            outcome.replaced(_there(found["seal"]), FACTS, again.to_json())
        if refused := refusal(json.loads((_there(found["gate"]) / VERDICT).read_bytes()), sealed.metrics):
            raise refused
        if workdir is None:
            _forget_all_but_the_newest(cache_folder().glob("pipeline-*/packages/*"))
        yield _Built(sealed, folder, texts)


def _there(folder: Path | None) -> Path:
    assert folder is not None, "a step was skipped though the gate passed"  # noqa: S101
    return folder


def shared(sources: Path = SOURCES) -> Path:
    """The folder in the user's cache of all projects whose pipeline has the same code."""
    rooms = ("pipeline", "monitoring", "records/provenance", "serving")
    root = sources / "modelstack"
    files = [*root.glob("*.py"), *(path for room in rooms for path in (root / room).rglob("*.py"))]
    code = {path.relative_to(sources).as_posix(): sha256_of(path) for path in files}
    return cache_folder() / f"pipeline-{listing_digest(code)[:12]}"


def _forget_all_but_the_newest(folders: Iterable[Path]) -> None:
    used: dict[Path, float] = {}
    for folder in folders:
        with suppress(FileNotFoundError):  # another build deleted it
            used[folder] = folder.stat().st_mtime
    for folder in sorted(used, key=used.__getitem__)[:-MOST_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(path: Path, progress: Callable[[str], None]) -> Generator[None]:
    """Hold the lock of a recipe; the system releases it when this process ends in any way."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process builds the same model: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
