"""`modelstack model init`: a built model, and its files, from a fitted estimator and its table, or from an ONNX file.

Everything is written, checked and built in a temporary folder before the checkout changes. The package stays in the
cache, so the next build of the same files takes no time.
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

from modelstack.cli.errors import OperatorError
from modelstack.cli.init import estimator, onnx_file, table
from modelstack.cli.init.rendering import render
from modelstack.pipeline import outline
from modelstack.pipeline.archive import ArchiveError
from modelstack.pipeline.build import SealedPackage, build
from modelstack.pipeline.contract import DATA, ContractBroken, RecipeError
from modelstack.pipeline.recipe import check_locks, recipe, sha256_of
from modelstack.pipeline.step import StepFailed
from modelstack.serving.onnx_file import FILE

Prepare = Callable[[Path], None]
PICKLE = "estimator.pickle"
_EXAMPLE = "example_request.json"
_EMPTY_IT = "find model -mindepth 1 -delete"
_LONGEST_NAME = 24  # with a hyphen and the name of a stack it is part of every name in the cloud


@dataclass(frozen=True)
class ModelInputs:
    """The files and columns that a person names; `id` is the column with a name for each row."""

    estimator: Path
    table: Path
    label: str
    time: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class NewModel:
    """A model that was written; paths are relative to the checkout, sources with their number of lines.

    Attributes:
        example: The file with a request; empty if none was written.
        served: What serves, and on what it was measured.
    """

    name: str
    files: tuple[str, ...]
    example: str
    notes: tuple[str, ...]
    sealed: SealedPackage
    served: str


def init(root: Path, inputs: ModelInputs, progress: Callable[[str], None], prepare: Prepare | None = None) -> NewModel:
    """Write a model into a checkout, whose folder `model` must have no file; `progress` gets each line of the build.

    `prepare` gets a folder with the model before it is built. OperatorError means that nothing was written.
    """
    to = root / DATA / inputs.table.name
    _check_nothing_is_overwritten(root, inputs.table, to)
    fitted, notes = estimator.read(inputs.estimator)
    found = table.read(inputs.table, inputs.label, inputs.time, inputs.id, fitted)
    blank = estimator.blank(inputs.estimator, fitted)
    contents = _rendered(inputs.estimator, found, blank)
    given = f"{inputs.estimator} and {inputs.table} make"
    sealed = _built(root, contents, given, progress, prepare, table=inputs.table, hints=table.hints(found.gaps))
    to.parent.mkdir(exist_ok=True)
    if not to.exists():
        shutil.copyfile(inputs.table, to)
    _write(root, contents)
    example = root / "model" / _EXAMPLE
    example.write_text(json.dumps(found.example, indent=2) + "\n", encoding="utf-8")
    copied, request = (one.relative_to(root).as_posix() for one in (to, example))
    return NewModel(
        _name(inputs.estimator),
        (*_sources(contents), f"model/{PICKLE}", request, copied),
        request,
        (*notes, *blank.notes, *_notes(found)),
        sealed,
        "on rows that were kept back; what serves is a new fit on the others",
    )


def init_onnx(root: Path, path: Path, progress: Callable[[str], None], prepare: Prepare | None = None) -> NewModel:
    """The same of an ONNX file, whose inputs are the features."""
    _check_nothing_is_overwritten(root)
    contents = {**render("from_onnx", {"features": onnx_file.read(path)}), FILE: path.read_bytes()}
    sealed = _built(root, contents, f"{path} makes", progress, prepare)
    _write(root, contents)
    served = "of an example; what serves is the file as it is, and nothing is known of the data that it learned from"
    return NewModel(_name(path), (*_sources(contents), f"model/{FILE}"), "", (), sealed, served)


def _write(root: Path, contents: Mapping[str, bytes]) -> None:
    (root / "model").mkdir(exist_ok=True)
    for name, content in contents.items():
        (root / "model" / name).write_bytes(content)


def _sources(contents: Mapping[str, bytes]) -> list[str]:
    return [f"model/{name} ({len(text.splitlines())} lines)" for name, text in contents.items() if name.endswith(".py")]


def _rendered(given: Path, table: table.Table, blank: estimator.Blank) -> dict[str, bytes]:
    """Name -> content of each file of a model; `given` is the file with the fitted estimator."""
    values = {"given": given, "digest": sha256_of(given), "table": table, "blank": blank, "pickle": PICKLE}
    return {**render("from_estimator", values), PICKLE: blank.content}


def _check_nothing_is_overwritten(root: Path, path: Path | None = None, to: Path | None = None) -> None:
    found = [one for one in sorted((root / "model").rglob("*")) if one.is_file() and one.parent.name != "__pycache__"]
    if found:
        more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
        raise OperatorError(
            f"model/ holds {found[0].relative_to(root / 'model').as_posix()}{more}; expected no file: nothing is "
            "written over a model",
            f"To replace it, commit or copy what you need of it, and type: {_EMPTY_IT}",
        )
    if path and to and to.exists() and not filecmp.cmp(path, to, shallow=False):
        raise OperatorError(
            f"{DATA}/{to.name} exists, and is another file than {path}; expected none of this name, or the same",
            "Rename one of them, or remove the one that is no longer needed.",
        )


def _built(
    root: Path,
    contents: Mapping[str, bytes],
    given: str,
    progress: Callable[[str], None],
    prepare: Prepare | None,
    *,
    table: Path | None = None,
    hints: str = "",
) -> SealedPackage:
    """Check and build the model in a temporary folder, as `python -m modelstack.pipeline check` and `build` do."""
    with TemporaryDirectory(prefix="modelstack-init-") as name:
        folder = Path(name).resolve()
        (folder / "requirements").symlink_to(root / "requirements")
        for inside in ("model", DATA):
            (folder / inside).mkdir()
        if table:
            (folder / DATA / table.name).symlink_to(table.resolve())
        for file, content in contents.items():
            (folder / "model" / file).write_bytes(content)
        try:
            outline.check(folder)
            if prepare:
                prepare(folder)
            check_locks(folder)
            return build(folder, recipe(folder, {}), progress=progress)
        except (ArchiveError, ContractBroken, RecipeError, StepFailed) as error:
            message = str(error).replace(f"{folder}/", "")
            raise OperatorError(
                f"{given} no model that can be released: {message}",
                " ".join(filter(None, ("Nothing was written.", hints))),
            ) from error


def _notes(found: table.Table) -> list[str]:
    notes: list[str] = []
    if found.left:
        notes.append(f"{', '.join(found.left)}: left out, because the estimator was not fitted on it")
    if found.time is not None:
        notes.append(f"label_at in model/data.py is {found.time}: change it if labels are known only later")
    return notes


def _name(path: Path) -> str:
    """A name of letters, digits and hyphens, from a file's name."""
    plain = re.sub("[^a-z0-9]+", "-", path.name.partition(".")[0].lower()).strip("-")
    named = plain if plain[:1].isalpha() else f"model-{plain}"
    return named[:_LONGEST_NAME].strip("-")
