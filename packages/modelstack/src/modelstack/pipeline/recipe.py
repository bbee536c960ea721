"""The recipe of a model version: one digest of everything that determines it.

The digest is the sha256 over canonical JSON (sorted keys, no spaces, ASCII only) of these parts:

    code          sha256 over sorted `<sha256>  <path>` lines of every file in model/ but README.md,
                  example_request.json, hidden files and caches
    data          the same of the raw files that model/sources.py names, and the version that it names
    dependencies  sha256 over the sorted requirements (name, version, hashes) of requirements/serving.txt, and the
                  version in requirements/app.txt of the code's other imports and of the fast form's compilers
    format        version of the archive's form and of the steps: changed whenever the same inputs give other bytes
    parameters    the parameters as JSON, defaults filled in by model/parameters.py
    python        major.minor

Location, times, modes, and the order of parameters or lock lines do not matter. The data digest is cached under the
files' size, times and inode, as git does, so a repeated call reads no data.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.forms import FORMS
from modelstack.pipeline.contract import DATA, RecipeError
from modelstack.pipeline.declared import check_parameters, raw_data
from modelstack.pipeline.locks import dependencies

FORMAT = str(FORMS["recipe"])
NOT_THE_MODEL = ("README.md", "example_request.json")


@dataclass(frozen=True)
class Recipe:
    """What determines a model version: its digest, 64 hexadecimal digits, and the parts of it."""

    digest: str
    parts: Mapping[str, str]

    @property
    def id(self) -> str:
        """The first 12 digits, for people."""
        return self.digest[:12]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, defaults included."""
        return json.loads(self.parts["parameters"])


def recipe(root: Path, parameters: Mapping[str, Any]) -> Recipe:
    """Compute the recipe of the model in `root/model`, without training and without loading the model's libraries."""
    files = model_files(root)
    parts = {
        "code": listing_digest({name: sha256_of(path) for name, path in files.items()}),
        "data": _data_digest(root),
        "dependencies": dependencies(root / "requirements", files),
        "format": FORMAT,
        "parameters": canonical(check_parameters(root, parameters)),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    return Recipe(hashlib.sha256(canonical(parts).encode()).hexdigest(), parts)


def canonical(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def model_files(root: Path) -> dict[str, Path]:
    """Path inside `root` -> file of the model version; refuses symbolic links, whose target would not be sealed."""
    folder = root / "model"
    if not (folder / "__init__.py").is_file():
        raise RecipeError(f"{folder} is not a model: it has no __init__.py")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        if inside.as_posix() in NOT_THE_MODEL:
            continue
        if path.is_symlink():
            raise RecipeError(f"{path} is a symbolic link: put the file itself into the model's folder")
        if path.is_file():
            found[f"model/{inside.as_posix()}"] = path
    return found


def _data_digest(root: Path) -> str:
    files, version = raw_data(root)
    identity = [version]
    for name, path in sorted(files.items()):
        if not path.is_file():
            raise RecipeError(
                f"model/sources.py names {name}, and there is no file {path}: put the model's data files into {DATA}/, "
                "beside model/; `make image` puts that folder into the image that trains"
            )
        stat = path.stat()
        identity.append(f"{name} {path.resolve()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}")
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()
    kept = cache_folder() / "data-digests" / key
    try:
        digest = kept.read_text().strip()
    except OSError:
        digest = ""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        digest = listing_digest({name: sha256_of(path) for name, path in files.items()} | {"version": version})
        _keep(kept, digest)
    return digest


def _keep(path: Path, text: str) -> None:
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        partial.replace(path)
    except OSError:  # a read-only or full disk only costs time at the next call
        with suppress(OSError):
            partial.unlink()


def cache_folder() -> Path:
    """The folder of the user's cache that checkouts share; honours `XDG_CACHE_HOME`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelstack"


def check_locks(root: Path) -> None:
    """Refuse a model that imports a library that no lock holds; the RecipeError names library and file."""
    dependencies(root / "requirements", model_files(root))


def listing_digest(digests: Mapping[str, str]) -> str:
    """The sha256 over sorted `<sha256>  <path>` lines."""
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
