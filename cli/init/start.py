"""`modelstack model init`: from a fitted estimator and its table to a model that is built, and to its files.

All is tried in a folder of its own first: the files are written there, checked, and built by the pipeline, which
trains, evaluates and seals. Only then are they written into the checkout. The package is kept, so the next build of the
same files takes no time.
"""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.errors import OperatorError
from cli.init import estimator, table
from cli.init.files import files
from cli.init.source import Unwritable, source
from pipeline import outline
from pipeline.archive import ArchiveError
from pipeline.build import SealedPackage, build
from pipeline.contract import DATA, ContractBroken, RecipeError
from pipeline.recipe import check_locks, recipe
from pipeline.step import StepFailed

_BUILT_FROM = ("pipeline", "monitoring", "provenance", "serving", "requirements")
_EXAMPLE = "example_request.json"
_EMPTY_IT = "find model -mindepth 1 -delete"
_LONGEST_NAME = 24  # with a hyphen and the name of a stack it is part of every name in the cloud


@dataclass(frozen=True)
class Given:
    """What a person names.

    Attributes:
        estimator: The file with the fitted estimator.
        table: The file with the table.
        label: The column with the true answers.
        time: The column with times, or None.
        id: The column with a name for each row, or None.
    """

    estimator: Path
    table: Path
    label: str
    time: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Begun:
    """A model that was written.

    Attributes:
        name: A name for it in the stack's file.
        lines: File, from the checkout's folder -> how many lines it has.
        copied: The table in the checkout, from its folder.
        example: The request that was written, from its folder.
        notes: What the person should know, a line each.
        sealed: The package that was built of it.
    """

    name: str
    lines: Mapping[str, int]
    copied: str
    example: str
    notes: tuple[str, ...]
    sealed: SealedPackage


def init(root: Path, given: Given, progress: Callable[[str], None]) -> Begun:
    """Write a model into a checkout.

    Args:
        root: The checkout; its folder `model` holds no file.
        given: What the model is made of.
        progress: Called with each line that the build prints.

    Raises:
        OperatorError: Something cannot be used. Nothing was written.
    """
    to = root / DATA / given.table.name
    _check_room(root, given.table, to)
    fitted = estimator.read(given.estimator)
    found = table.read(given.table, given.label, given.time, given.id, fitted.estimator)
    try:
        blank = estimator.prepared(fitted.estimator, found.features, found.texts, found.gaps)
        texts = files(found, source(blank.estimator))
    except Unwritable as error:
        raise OperatorError(
            f"{given.estimator}: it cannot be written as Python source: {error}",
            "Nothing was written. docs/how-to/own-model.md shows how a model is written by hand.",
        ) from None
    sealed = _built(root, texts, given, progress, found.gaps)
    to.parent.mkdir(exist_ok=True)
    if not to.exists():
        shutil.copyfile(given.table, to)
    (root / "model").mkdir(exist_ok=True)
    for name, text in texts.items():
        (root / "model" / name).write_text(text, encoding="utf-8")
    example = root / "model" / _EXAMPLE
    example.write_text(json.dumps(found.example, indent=2) + "\n", encoding="utf-8")
    lines = {f"model/{name}": text.count("\n") for name, text in texts.items()}
    notes = (*fitted.notes, *blank.notes, *_notes(found))
    copied, asked = (one.relative_to(root).as_posix() for one in (to, example))
    return Begun(_name(given.estimator), lines, copied, asked, notes, sealed)


def _check_room(root: Path, path: Path, to: Path) -> None:
    """Refuse to write over anything."""
    there = [one for one in sorted((root / "model").rglob("*")) if one.is_file() and one.parent.name != "__pycache__"]
    if there:
        more = f" and {len(there) - 1} more files" if len(there) > 1 else ""
        raise OperatorError(
            f"model/ holds {there[0].relative_to(root / 'model').as_posix()}{more}; expected no file: nothing is "
            "written over a model",
            f"To replace it, commit or copy what you need of it, and type: {_EMPTY_IT}",
        )
    if to.exists() and not filecmp.cmp(path, to, shallow=False):
        raise OperatorError(
            f"{DATA}/{to.name} exists, and is another file than {path}; expected none of this name, or the same",
            "Rename one of them, or remove the one that is no longer needed.",
        )


def _built(
    root: Path, texts: Mapping[str, str], given: Given, progress: Callable[[str], None], gaps: Mapping[str, str]
) -> SealedPackage:
    """Check and build the model in a folder of its own, as `python -m pipeline check` and `build` do."""
    with TemporaryDirectory(prefix="modelstack-init-") as name:
        folder = Path(name).resolve()
        for room in _BUILT_FROM:
            (folder / room).symlink_to(root / room)
        for inside in ("model", DATA):
            (folder / inside).mkdir()
        (folder / DATA / given.table.name).symlink_to(given.table.resolve())
        for file, text in texts.items():
            (folder / "model" / file).write_text(text, encoding="utf-8")
        try:
            outline.check(folder)
            check_locks(folder)
            return build(folder, recipe(folder, {}), progress=progress)
        except (ArchiveError, ContractBroken, RecipeError, StepFailed) as error:
            said = str(error).replace(f"{folder}/", "")
            raise OperatorError(
                f"{given.estimator} and {given.table} make no model that can be released: {said}",
                " ".join(filter(None, ("Nothing was written.", table.told(gaps)))),
            ) from error


def _notes(found: table.Table) -> list[str]:
    notes: list[str] = []
    if found.left:
        notes.append(f"{', '.join(found.left)}: left out, because the estimator was not fitted on it")
    if found.time is not None:
        notes.append(f"label_at in model/data.py is {found.time}: change it if labels are known only later")
    return notes


def _name(path: Path) -> str:
    """A name of letters, digits and hyphens, out of that of a file."""
    plain = re.sub("[^a-z0-9]+", "-", path.name.partition(".")[0].lower()).strip("-")
    named = plain if plain[:1].isalpha() else f"model-{plain}"
    return named[:_LONGEST_NAME].strip("-")
