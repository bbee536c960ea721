"""How are the SDKs of providers imported in less time? Without docstrings, and with annotations left as text.

Most of an SDK's import goes into what a running program never looks at: the documentation of each property, and types
such as `Input[Optional[str]]`, which Python before 3.14 makes one by one. So the modules of installed SDKs are compiled
with `from __future__ import annotations` and without docstrings, once, and kept beside Python's own bytecode. What an
SDK needs of an annotation, it reads by `typing.get_type_hints`, which takes text as well.
"""

import __future__

import importlib.util
import marshal
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_KIND = "sdk"
"""Tells our bytecode from Python's own, in the name of its file."""
_SIZE = 16


def install() -> None:
    """Import the installed SDKs lightly from now on."""
    names = {path.parent.name for folder in sys.path for path in Path(folder).glob("pulumi_*/pulumi-plugin.json")}
    if names:
        sys.meta_path.insert(0, _Finder(names))


class _Finder:
    """Finds what Python finds, of the SDKs alone."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
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
            code = compile(
                source.read_bytes(), source, "exec", __future__.annotations.compiler_flag, dont_inherit=True, optimize=2
            )
            _write(kept, mark + marshal.dumps(code))
        except (OSError, ValueError, EOFError, TypeError):
            return super().get_code(fullname)
        return code


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(file)
