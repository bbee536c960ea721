"""Imports `serving` and `pipeline` as what they are now, `modelstack.serving` and `modelstack.pipeline`.

The code and the pickles of packages that were sealed before the library was one package have these names. Standard
library only.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

NAMES = ("pipeline", "serving")


def install() -> None:
    """Find modules by their former names from now on, in this process."""
    if not any(isinstance(one, _FormerNames) for one in sys.meta_path):
        sys.meta_path.insert(0, _FormerNames())


class _FormerNames:
    """A finder and its loader. A package of the model's own with such a name has priority."""

    def find_spec(self, name: str, path: Any = None, target: object = None) -> ModuleSpec | None:
        first, _, rest = name.partition(".")
        if first not in NAMES:
            return None
        if rest:
            ours = sys.modules[first].__name__ != first
        else:
            found = PathFinder.find_spec(name)
            ours = found is None or found.origin is None  # a folder without code, such as an old one with __pycache__
        return ModuleSpec(name, self) if ours else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make a module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(f"modelstack.{module.__name__}")
