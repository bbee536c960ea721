"""The outcome of a step: a folder of files with `outcome.json`, which records by digests what was made, and of what.

    {"step": "train", "digest": "sha256:...", "files": {"model.joblib": "<sha256>"}, "beside": {}, "made_of": {...}}

The digest is the sha256 over sorted `<sha256>  <name>` lines of the files. Files `beside` describe one run, such as
its times, and are not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.recipe import canonical, listing_digest, sha256_of
from modelstack.pipeline.steps import Pipeline, Step

RECORD = "outcome.json"


class Spoiled(Refusal):
    """The files of an outcome were changed; the message says which."""


@dataclass(frozen=True)
class Outcome:
    """What a step made: sha256 of each file, and `sha256:<hex>` of all but those `beside`.

    `made_of` has the digest of each outcome that the step took, and its texts.
    """

    step: str
    digest: str
    files: Mapping[str, str]
    beside: Mapping[str, str]
    made_of: Mapping[str, str]


def made_of(pipeline: Pipeline, step: Step, digests: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """What determines the outcome of a step: the digests of the outcomes that it takes, and its texts.

    A step checks folders from outside against `code_digest`, `champion_digest` and the recipe.
    """
    taken = {name: digests[name] for name in pipeline.steps_of(step)}
    return {**taken, **{one.name: texts.get(one.name, one.default) for one in pipeline.texts_of(step)}}


def record(step: Step, folder: Path, made_of: Mapping[str, str]) -> Outcome:
    """Digest what a step wrote, refuse folders and missing files, and write `outcome.json`, synced to disk."""
    found = {path.name: path for path in sorted(folder.iterdir()) if path.name != RECORD}
    if odd := [name for name, path in found.items() if not path.is_file() or path.is_symlink()]:
        raise Refusal(f"it wrote {odd[0]}, which is no file: expected files, and no folders")
    if lacks := [name for name in (*step.gives, *step.beside) if name not in found]:
        raise Refusal(f"it did not write {', '.join(lacks)}, which it should give")
    digests = {name: sha256_of(path) for name, path in found.items()}
    files = {name: digest for name, digest in digests.items() if name not in step.beside}
    beside = {name: digest for name, digest in digests.items() if name in step.beside}
    made = Outcome(step.name, f"sha256:{listing_digest(files)}", files, beside, dict(made_of))
    _write(folder, made)
    for path in found.values():
        with path.open("rb") as written:
            os.fsync(written.fileno())
    return made


def replaced(folder: Path, name: str, content: bytes) -> None:
    """Replace a file `beside` an outcome."""
    made = read(folder)
    partial = folder.with_name(f"{folder.name}.{name}.partial")
    partial.write_bytes(content)
    partial.replace(folder / name)
    beside = {**made.beside, name: hashlib.sha256(content).hexdigest()}
    _write(folder, Outcome(made.step, made.digest, made.files, beside, made.made_of))


def verified(folder: Path, step: str) -> Outcome:
    """The outcome of a step in a folder; raises Spoiled if it is not exactly as that step left it."""
    made = read(folder)
    if made.step != step:
        raise Spoiled(f"{folder} holds the outcome of {made.step}, expected that of {step}")
    expected = {**made.files, **made.beside}
    found = {path.name: sha256_of(path) for path in folder.iterdir() if path.is_file() and path.name != RECORD}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise Spoiled(
                f"{folder / name} has sha256 {found.get(name, 'nothing')}, {RECORD} says "
                f"{expected.get(name, 'no such file')}: its bytes were changed"
            )
    if made.digest != f"sha256:{listing_digest(made.files)}":
        raise Spoiled(f"{folder / RECORD} has digest {made.digest}, its files have another: it was changed")
    return made


def read(folder: Path) -> Outcome:
    """The content of `outcome.json` in a folder; raises Spoiled if it is missing or malformed."""
    try:
        said: Any = json.loads((folder / RECORD).read_bytes())
        of_names = {
            name: {str(one): str(of) for one, of in said[name].items()} for name in ("files", "beside", "made_of")
        }
        return Outcome(str(said["step"]), str(said["digest"]), **of_names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Spoiled(f"{folder / RECORD} cannot be read: {type(error).__name__}: {error}") from None


def _write(folder: Path, made: Outcome) -> None:
    partial = folder.with_name(f"{folder.name}.{RECORD}.partial")
    with partial.open("w") as file:
        file.write(canonical(vars(made)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / RECORD)
