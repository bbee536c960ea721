"""The files of this repository that a program imports, directly or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imported(root: Path, program: str, without: tuple[str, ...] = ()) -> dict[str, Path]:
    """Path from the root, with slashes -> file, including the `__init__.py` of each package.

    `program` is the dotted name of a module, ValueError if there is none. Packages `without` are left out.
    """
    if _file(root, program.split(".")) is None:
        raise ValueError(f"{root} has no module {program}")
    found: dict[str, Path] = {}
    waiting = [program]
    while waiting:
        name = waiting.pop()
        if f"{name}.".startswith(tuple(f"{package}." for package in without)):
            continue
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            path = _file(root, parts[:length])
            if path is not None and path.relative_to(root).as_posix() not in found:
                found[path.relative_to(root).as_posix()] = path
                waiting += names_in(path)
    return dict(sorted(found.items()))


def _file(root: Path, parts: list[str]) -> Path | None:
    folder = root.joinpath(*parts)
    return next((path for path in (folder / "__init__.py", folder.with_suffix(".py")) if path.is_file()), None)


def names_in(path: Path) -> list[str]:
    """Imported names of a file, also within functions but not for type checking; `from a import b` gives `a.b`."""
    names: list[str] = []
    for node in _runs(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _runs(node: ast.AST) -> Iterator[ast.AST]:
    """A node and its descendants, without those below `if TYPE_CHECKING`."""
    yield node
    typing = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    for child in [] if typing else ast.iter_child_nodes(node):
        yield from _runs(child)
