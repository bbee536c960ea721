"""Reads YAML files and locates errors in them; Pulumi's own messages name no file."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from modelstack.cli.errors import WRONG_USE, OperatorError
from modelstack.pipeline.project import NoProject, project_root


class Malformed(OperatorError):
    """A file that is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=WRONG_USE)


def read(path: Path) -> Any:
    """The content of a YAML file; Malformed with file and line if it is malformed or has an infinite number."""
    shown = path
    with suppress(NoProject, ValueError):
        shown = path.relative_to(project_root(path.parent))
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Malformed(f"{shown} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Malformed(_broken(shown, line, f"it is not UTF-8 ({error.reason})")) from error
    try:
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader
    except _NotFinite as error:
        where = f"{shown}, line {error.problem_mark.line + 1}" if error.problem_mark else str(shown)
        raise Malformed(f"{where}: {error.problem}; allowed are finite numbers. Nothing was changed") from error
    except yaml.MarkedYAMLError as error:
        begun, mark = error.context_mark, error.problem_mark or error.context_mark
        since = f" that begins in line {begun.line + 1}" if begun and mark and begun.line != mark.line else ""
        told = f"{error.context}{since}, {error.problem}" if error.context else str(error.problem)
        raise Malformed(_broken(shown, mark.line + 1 if mark else None, told)) from error
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        raise Malformed(_broken(shown, line, f"{error.reason}: {chr(error.character)!r}")) from error


def _broken(shown: Path, line: int | None, told: str) -> str:
    where = f"{shown}, line {line}" if line else str(shown)
    return f"{where}: this is not YAML: {told}. Nothing was changed"


class _NotFinite(yaml.MarkedYAMLError):
    """A number that YAML knows, but not JSON, in which Pulumi stores a config."""


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, as Pulumi does, and numbers that are not finite."""

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        value = super().construct_yaml_float(node)
        if not math.isfinite(value):
            raise _NotFinite(problem=f"{node.value} is no number for a config", problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands here twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
