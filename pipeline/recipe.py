"""What determines a model version, as one digest.

    recipe(root, {"max_iter": 80}).digest      # the same in every checkout with the same content

The canonical form is JSON with sorted keys, no spaces and ASCII only, of these parts; the digest is its sha256:

    code          sha256 over `<sha256>  <path>` lines, sorted, of every file in model/ but README.md,
                  example_request.json, hidden files and caches
    data          sha256 over `<sha256>  <name>` lines of the raw files that model/sources.py names, and the version
                  that it names
    dependencies  sha256 over the sorted requirements (name, version, hashes) of requirements/serving.txt, and the
                  version in requirements/app.txt of each other package that the code imports, and of what makes the
                  fast form
    format        version of the archive's form and of the steps: changed whenever the same inputs give other bytes
    parameters    the parameters as JSON, defaults filled in by model/parameters.py
    python        major.minor

A folder's place, times, modes, and the order of parameters or of lock lines do not matter. The digest of the data is
kept in the user's cache under the files' size, times and inode, as git does it, so that a repeated call reads no data.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.contract import DATA
from pipeline.parameter_types import NoParameters, ParameterError, as_dict, as_json, day, parse

FORMAT = "8"
COMPILERS = ("onnx", "skl2onnx")
"""What makes the fast form; the image that serves does not hold them."""
NOT_THE_MODEL = ("README.md", "example_request.json")
THE_RUNTIME = "serving"
"""The room that every image holds: a model may import it."""


class RecipeError(Exception):
    """The model's folder, parameters or locks cannot be read; the message says which and why."""


class NothingNewer(RecipeError):
    """There is nothing newer to learn from; the message is the model's own."""


@dataclass(frozen=True)
class Recipe:
    """What determines a model version.

    Attributes:
        digest: sha256, 64 hexadecimal digits.
        parts: Part -> its digest or, for `format`, `parameters` and `python`, its text.
    """

    digest: str
    parts: Mapping[str, str]

    @property
    def id(self) -> str:
        """The first 12 digits; what a person reads."""
        return self.digest[:12]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, defaults included."""
        return json.loads(self.parts["parameters"])


def recipe(root: Path, parameters: Mapping[str, Any]) -> Recipe:
    """Compute the recipe of the model in `root/model`, without training and without loading the model's libraries.

    Args:
        root: A checkout: holds `model/` and `requirements/`.
        parameters: As in the stack's config; defaults may be left out.

    Raises:
        RecipeError: A parameter is not allowed, a file is missing, or `parameters.py` or `sources.py` fails.
    """
    files = model_files(root)
    parts = {
        "code": listing_digest({name: sha256_of(path) for name, path in files.items()}),
        "data": _data_digest(root),
        "dependencies": _dependencies(root / "requirements", files),
        "format": FORMAT,
        "parameters": canonical(check_parameters(root, parameters)),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    return Recipe(hashlib.sha256(canonical(parts).encode()).hexdigest(), parts)


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def model_files(root: Path) -> dict[str, Path]:
    """Return path inside `root` (with slashes) -> file, for every file that belongs to the model version.

    Raises:
        RecipeError: There is no model folder, or it holds a symbolic link (its target would not be sealed).
    """
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


def locked(path: Path) -> dict[str, str]:
    """Return package -> version of a lock file.

    Raises:
        RecipeError: The file cannot be read, or a line does not pin a version.
    """
    return {line.split("==")[0]: line.split("==")[1].split(" ")[0] for line in _lock_lines(path)}


def locked_files(path: Path) -> dict[str, tuple[str, ...]]:
    """Return package -> sha256 of each of its files that a lock file allows.

    Raises:
        RecipeError: See `locked`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in _lock_lines(path):
        hashes = (word.removeprefix("sha256:") for word in line.split() if word.startswith("sha256:"))
        found[line.split("==")[0]] = tuple(hashes)
    return found


def check_parameters(root: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with the defaults filled in that `model/parameters.py` declares.

    Raises:
        RecipeError: Parameters are not allowed, a line for each; or `parameters.py` cannot be read or fails.
    """
    return as_dict(_settings(_module(root / "model" / "parameters.py"), given))


def variant(root: Path, given: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the parameters of another version, about as good, as `model/parameters.py` names them.

    Args:
        root: A checkout.
        given: The parameters to start from; defaults may be left out.
        number: Which one, 1 to 1,000,000.

    Raises:
        RecipeError: The model names none, or `parameters.py` fails.
    """
    module = _module(root / "model" / "parameters.py")
    return {**given, **_called(module, "variant", _settings(module, given), number)}


def faulty(root: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a version whose requests fail, as `model/parameters.py` names them.

    Raises:
        RecipeError: The model names none.
    """
    return {**given, **_named(_module(root / "model" / "parameters.py"), "FAULTY")}


def retrained(root: Path, given: Mapping[str, Any], through: str) -> dict[str, Any]:
    """Return the parameters to change to learn from what is known at the beginning of a day.

    Args:
        root: A checkout.
        given: The parameters to start from; defaults may be left out.
        through: The day, YYYY-MM-DD.

    Raises:
        NothingNewer: The model has no newer data for that day.
        RecipeError: It is no such day, the model does not say how it is retrained, or `parameters.py` fails.
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
    """The parameters to change that a function of the model names, as JSON values."""
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
    """Return name -> path of the raw data files that `model/sources.py` names, and the version that it names.

    Raises:
        RecipeError: `sources.py` fails.
    """
    sources = _module(root / "model" / "sources.py")
    try:
        return getattr(sources, "files", dict)(), getattr(sources, "version", str)()
    except Exception as error:
        said = str(error) if isinstance(error, OSError) else f"{_file(sources)} failed: {type(error).__name__}: {error}"
        raise RecipeError(said) from error


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
    except OSError:  # a read-only or full disk costs time at the next call, and nothing else
        with suppress(OSError):
            partial.unlink()


def cache_folder() -> Path:
    """Return the folder of the user's cache that checkouts share; `XDG_CACHE_HOME` counts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelstack"


def check_locks(root: Path) -> None:
    """Refuse a model that imports a library that no lock holds.

    Raises:
        RecipeError: The message names the library, and the file that imports it.
    """
    _dependencies(root / "requirements", model_files(root))


def _dependencies(folder: Path, files: Mapping[str, Path]) -> str:
    lines = sorted(_lock_lines(folder / "serving.txt"))
    lines += [f"trained with {name}=={version}" for name, version in trained_with(folder, files).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def trained_with(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Return package -> version of what makes a model and does not serve it: what its code imports, and the compilers.

    Args:
        folder: A checkout's `requirements/`.
        files: The model's files, as `model_files` returns them.

    Raises:
        RecipeError: `app.txt` does not lock one of them.
    """
    held, versions = locked(folder / "serving.txt"), locked(folder / "app.txt")
    found: dict[str, str] = {}
    for module, file in sorted(_imported(files).items()):
        name = _package(module, held, versions)
        if name is None:
            raise RecipeError(
                f"{folder / 'app.txt'} does not lock {module}, which {file} imports: add it to requirements/app.in and "
                "run `make lock`"
            )
        if name not in held:
            found[name] = versions[name]
    for name in COMPILERS:
        if name not in versions:
            raise RecipeError(f"{folder / 'app.txt'} does not lock {name}, which makes the fast form: run `make lock`")
        found[name] = versions[name]
    return dict(sorted(found.items()))


def _imported(files: Mapping[str, Path]) -> dict[str, str]:
    """Each module that the model's code imports, beside Python's own and itself -> a file that does."""
    found: dict[str, str] = {}
    for name, path in files.items():
        if not name.endswith(".py"):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # it imports nothing: who imports it is told
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = name
    return {
        module: file for module, file in found.items() if module not in {"model", THE_RUNTIME, *sys.stdlib_module_names}
    }


def _package(module: str, *locks: Mapping[str, str]) -> str | None:
    """The locked package that a module is of: that of its name or, as installed, the one that holds it."""
    name = re.sub("[-_.]+", "-", module).lower()
    for lock in locks:
        if name in lock:
            return name
    for other in dict.fromkeys(name for lock in locks for name in lock):
        with suppress(metadata.PackageNotFoundError):
            listing = f"\n{metadata.distribution(other).read_text('RECORD')}"
            if f"\n{module}/__init__.py," in listing or f"\n{module}.py," in listing:
                return other
    return None


def _lock_lines(path: Path) -> Iterator[str]:
    """Yield `name==version [marker] hash...`, hashes sorted; comments and pip's options are no requirements."""
    try:
        text = path.read_text()
    except OSError as error:
        raise RecipeError(f"cannot read the lock file {path}: {error.strerror}") from None
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if not words or words[0].startswith("-"):
            continue
        if not re.fullmatch(r"[A-Za-z0-9._\[\],-]+==[^\s;]+;?", words[0]):
            raise RecipeError(f"{path}: {words[0]!r} pins no version: expected name==version")
        plain = [word.rstrip(";") if number == 0 else word for number, word in enumerate(words)]
        yield " ".join([word for word in plain if not word.startswith("--")] + sorted(_hashes(plain)))


def _hashes(words: list[str]) -> list[str]:
    return [word.removeprefix("--hash=") for word in words if word.startswith("--hash=")]


def _module(path: Path) -> ModuleType | None:
    """Run one file of the model by itself, from its source, apart from any `model` that is imported already.

    None where there is no such file.
    """
    name = f"_recipe_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up here
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102  the team's own code
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:
        raise RecipeError(f"{path} failed: {type(error).__name__}: {error}") from error
    return module


def listing_digest(digests: Mapping[str, str]) -> str:
    """Return the sha256 over `<sha256>  <path>` lines, sorted."""
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
