"""Reads the lock files in `requirements/`, and finds which of their packages a model needs."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from modelstack.pipeline.contract import RecipeError

LOCK, INSTALL = "python -m localcloud.setup lock", "pip install -r requirements/app.txt"
"""How a project with dependency groups is locked, and how its lock is installed."""
COMPILERS = ("onnx", "skl2onnx")
"""Packages that make the fast form; the serving image does not hold them."""
OURS = ("modelstack", "pipeline", "serving")
"""What a model may import of this library, in packages that were sealed before it was one package by two names."""
_PARSING = threading.Lock()  # Python 3.11 counts the recursion depth across threads, and may refuse a valid tree


def locked(path: Path) -> dict[str, str]:
    """Package -> version of a lock file; raises RecipeError if it cannot be read, or a line pins no version."""
    return {line.split("==")[0]: line.split("==")[1].split(" ")[0] for line in _lock_lines(path)}


def locked_files(path: Path) -> dict[str, tuple[str, ...]]:
    """Package -> sha256 of each of its files that a lock file allows; raises as `locked`."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _lock_lines(path):
        hashes = (word.removeprefix("sha256:") for word in line.split() if word.startswith("sha256:"))
        found[line.split("==")[0]] = tuple(hashes)
    return found


def to_add(folder: Path, lock: str, packages: str) -> str:
    """What to do for a lock of the folder `requirements` to have more packages."""
    if _has_groups(folder):
        return f"add {packages} to the group {lock} in pyproject.toml, run `{LOCK}`, and `{INSTALL}`"
    return f"add {packages} to requirements/{lock}.in, and run `make lock` and `make setup`"


def to_install(folder: Path) -> str:
    """The command that installs the lock."""
    return INSTALL if _has_groups(folder) else "make setup"


def _has_groups(folder: Path) -> bool:
    """Whether the project names what is locked in pyproject.toml, as `modelstack new` writes it."""
    folder = folder.resolve()  # a model is built in a folder that links to it
    return not (folder / "app.in").exists() and (folder.parent / "pyproject.toml").exists()


def dependencies(folder: Path, files: Mapping[str, Path]) -> str:
    """The digest of what a model needs: the lock of what serves it, and what else makes it."""
    lines = sorted(_lock_lines(folder / "serving.txt"))
    lines += [f"trained with {name}=={version}" for name, version in trained_with(folder, files).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def trained_with(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Package -> version of what makes a model and does not serve it: what its code imports, and the compilers."""
    held, versions = locked(folder / "serving.txt"), locked(folder / "app.txt")
    found: dict[str, str] = {}
    for module, file in sorted(imported(files).items()):
        name = package_of(module, held, versions)
        if name is None:
            raise RecipeError(
                f"{folder / 'app.txt'} does not lock {module}, which {file} imports: {to_add(folder, 'app', 'it')}"
            )
        if name not in held:
            found[name] = versions[name]
    for name in COMPILERS:
        if name not in versions:
            raise RecipeError(
                f"{folder / 'app.txt'} does not lock {name}, which makes the fast form: "
                f"run `{LOCK if _has_groups(folder) else 'make lock'}`"
            )
        found[name] = versions[name]
    return dict(sorted(found.items()))


def imported(files: Mapping[str, Path]) -> dict[str, str]:
    """Each third-party module that the model's code imports -> a file that does."""
    found: dict[str, str] = {}
    for name, path in files.items():
        if not name.endswith(".py"):
            continue
        try:
            with _PARSING:
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # unparsable, so importing it fails later with a message
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = name
    return {module: file for module, file in found.items() if module not in {"model", *OURS, *sys.stdlib_module_names}}


def package_of(module: str, *locks: Mapping[str, str]) -> str | None:
    """The locked package that contains a module: the one of its name, or the one that lists it in RECORD."""
    name = re.sub("[-_.]+", "-", module).lower()
    for lock in locks:
        if name in lock:
            return name
    from importlib import metadata  # noqa: PLC0415  slow to load, and rarely needed

    for other in dict.fromkeys(name for lock in locks for name in lock):
        with suppress(metadata.PackageNotFoundError):
            listing = f"\n{metadata.distribution(other).read_text('RECORD')}"
            if f"\n{module}/__init__.py," in listing or f"\n{module}.py," in listing:
                return other
    return None


def _lock_lines(path: Path) -> Iterator[str]:
    """Yield `name==version [marker] hash...`, hashes sorted, without comments and pip's options."""
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
        hashes = sorted(word.removeprefix("--hash=") for word in plain if word.startswith("--hash="))
        yield " ".join([*(word for word in plain if not word.startswith("--")), *hashes])
