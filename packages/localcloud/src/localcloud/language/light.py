"""How are the SDKs imported in less time? Without what a running program never looks at.

Most of the import of a provider's SDK goes into the documentation of each property, and into types such as
`Input[Optional[str]]`, which Python before 3.14 makes one by one. So the modules of installed SDKs are compiled
with `from __future__ import annotations` and without docstrings, once, and kept beside Python's own bytecode. What an
SDK needs of an annotation, it reads by `typing.get_type_hints`, which takes text as well. `read_types_once` has it read
each text once that means the same everywhere.

A package of an SDK imports the modules of all its resources. They are imported when one of their names is used.

Pulumi's own SDK imports its automation API, for programs that run other programs. It is loaded when it is used.
"""

import __future__

import ast
import importlib.util
import marshal
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_KIND = "sdk3"
"""Tells our bytecode from Python's own, in the name of its file."""
_NAMES = re.compile(r"^__all__ = (\[.*?\])$", re.MULTILINE | re.DOTALL)
_PLAIN = re.compile(r"(?:pulumi\.(?:In|Out)put|Optional|Mapping|Sequence|_builtins\.\w+|str|Any|[\[\], ])+")
"""An annotation whose names mean the same in each module of an SDK."""
_ON_USE = """
__all__ = [*__modules, *(name for name in globals() if not name.startswith("_"))]

def __getattr__(name):
    module = __modules.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    loaded = importlib.import_module(f"{__name__}.{module}")
    globals().update({one: getattr(loaded, one) for one in loaded.__all__})
    return globals()[name]
"""
_SIZE = 16
_WHEN_USED = "pulumi.automation"


def install() -> None:
    """Import the installed SDKs lightly from now on; to be called before the first is imported."""
    names = {path.parent.name for folder in sys.path for path in Path(folder).glob("pulumi_*/pulumi-plugin.json")}
    sys.meta_path.insert(0, _Finder(names))


class _Finder:
    """Finds what Python finds, of the SDKs and the automation API alone."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _WHEN_USED and name.partition(".")[0] not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return spec
        if name == _WHEN_USED:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        else:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loads one module of an SDK; as Python does where its folder cannot be written to."""

    def get_code(self, fullname: str) -> CodeType | None:
        source = Path(self.path)
        kept = Path(importlib.util.cache_from_source(self.path, optimization=_KIND))
        try:
            stat = source.stat()
            mark = int(stat.st_mtime).to_bytes(_SIZE // 2, "little") + stat.st_size.to_bytes(_SIZE // 2, "little")
            known = kept.read_bytes() if kept.exists() else b""
            if known[:_SIZE] == mark:
                return marshal.loads(known[_SIZE:])  # noqa: S302  bytecode, as trusted as Python's own beside it
            tree = _without_dict_fields(ast.parse(source.read_bytes()))
            if source.name == "__init__.py" and fullname.count(".") == 1:
                tree = _imported_on_use(tree, source.parent)
            code = compile(tree, source, "exec", __future__.annotations.compiler_flag, dont_inherit=True, optimize=2)
            _write(kept, mark + marshal.dumps(code))
        except (OSError, ValueError, EOFError, TypeError):
            return super().get_code(fullname)
        return code


def _without_dict_fields(module: ast.Module) -> ast.Module:
    """Empty the `TypedDict` classes, since Python compiles each of their annotations; only type checkers read these."""
    for item in module.body:
        if isinstance(item, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "TypedDict" for b in item.bases):
            item.body = [ast.copy_location(ast.Pass(), item)]
    return module


def _imported_on_use(package: ast.Module, folder: Path) -> ast.Module:
    """Import the modules of a package's classes and functions when one of their names is used."""
    modules: dict[str, str] = {}
    for item in list(package.body):
        if isinstance(item, ast.ImportFrom) and item.level == 1 and item.module and item.names[0].name == "*":
            names = _NAMES.search((folder / f"{item.module}.py").read_text())
            if names:
                modules.update(dict.fromkeys(ast.literal_eval(names[1]), item.module))
                package.body.remove(item)
    package.body += ast.parse(f"__modules = {modules!r}\n{_ON_USE}").body if modules else []
    return package


def read_types_once() -> None:
    """Have the SDK read each plain annotation once, and not once for each property that has it."""
    from pulumi import _types  # noqa: PLC0415  not before `install`

    read: dict[str, Any] = {}
    hints = _types.get_type_hints

    def get_type_hints(obj: Any, *spaces: Any, **names: Any) -> dict[str, Any]:
        text = obj.__annotations__.get("return")
        if not isinstance(text, str) or not _PLAIN.fullmatch(text):
            return hints(obj, *spaces, **names)
        if text not in read:
            read[text] = hints(obj, *spaces, **names)
        return read[text]

    _types.get_type_hints = get_type_hints


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(file)
