"""What can stand in a pipeline's definition instead of a value, and what does it come to?

    {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}      a property, a parameter, a fact of the execution
    {"Std:Join": {"On": "/", "Values": ["s3://a", {"Get": "Execution.PipelineExecutionId"}]}}
    {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Metrics"}, "Path": "auc.value"}}

Pure: what a reference stands for is asked of whoever resolves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
PROPERTY_FILES = "PropertyFiles"
"""The first part of a reference to a property file of a step."""

_REFERENCE = re.compile(r"(?P<space>Parameters|Execution|PipelineExperimentConfig|Steps)\.(?P<name>[A-Za-z0-9_-]+)")
_PART = re.compile(r"\.(?P<member>[A-Za-z0-9_-]+)|\[(?P<quote>['\"])(?P<key>.+?)(?P=quote)\]|\[(?P<place>\d+)\]")

Part = str | int


class FunctionInvalid(Exception):
    """A function that is not one, by its form; the text says what is wrong."""


class FunctionFailed(Exception):
    """A function that comes to nothing; the text is a step's FailureReason."""


@dataclass(frozen=True)
class Reference:
    """What a `Get` names.

    Attributes:
        text: As it stands in the definition.
        space: `Parameters`, `Execution`, `PipelineExperimentConfig` or `Steps`.
        name: Of the parameter, the variable or the step.
        path: Inside the step's properties; empty elsewhere.
    """

    text: str
    space: str
    name: str
    path: tuple[Part, ...] = ()


class Values(Protocol):
    """Knows what references stand for."""

    def get(self, reference: Reference) -> Any:
        """What a reference stands for.

        Raises:
            FunctionFailed: Nothing.
        """
        ...

    def read(self, url: str) -> Any:
        """The JSON in an object of S3; blocks.

        Raises:
            FunctionFailed: It cannot be read, or is no JSON.
        """
        ...

    def address_of(self, property_file: Reference) -> str:
        """Where in S3 a property file of a step is.

        Raises:
            FunctionFailed: The step has left none.
        """
        ...


def is_function(value: Any) -> bool:
    """Whether a value is a function."""
    return isinstance(value, Mapping) and len(value) == 1 and (GET in value or next(iter(value)).startswith("Std:"))


def reference(text: Any) -> Reference:
    """Read what a `Get` names.

    Raises:
        FunctionInvalid: It names nothing that there could be.
    """
    found = _REFERENCE.match(text) if isinstance(text, str) else None
    parts = _parts(text[found.end() :]) if found else None
    if found is None or parts is None or (parts and found["space"] != "Steps"):
        raise FunctionInvalid(
            f"Invalid property reference {text!r}: expected Parameters.<name>, Execution.<variable>, "
            "PipelineExperimentConfig.<member> or Steps.<step>.<property>"
        )
    return Reference(text, found["space"], found["name"], parts)


def references(value: Any) -> Iterator[Reference]:
    """Every reference in a value, however deep.

    Raises:
        FunctionInvalid: A function is none.
    """
    if is_function(value):
        yield from _referenced(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolve(value: Any, values: Values) -> Any:
    """A value with all functions replaced by what they come to; nulls in structures are dropped. Blocks.

    Raises:
        FunctionFailed: One comes to nothing.
    """
    if is_function(value):
        return _called(value, values)
    if isinstance(value, Mapping):
        return {name: resolve(item, values) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [resolve(item, values) for item in value]
    return value


def inside(value: Any, path: tuple[Part, ...], text: str) -> Any:
    """What is at a path; an item of a list is named by its place, or by the value of its member that ends in `Name`.

    Raises:
        FunctionFailed: Nothing is.
    """
    for part in path:
        found = _at(value, part)
        if not found:
            raise FunctionFailed(f"{text} has no value: there is no {part!r} in it")
        value = found[0]
    return value


def _referenced(function: Mapping[str, Any]) -> Iterator[Reference]:
    ((name, given),) = function.items()
    if name == GET:
        found = reference(given)
        if found.path[:1] == (PROPERTY_FILES,):
            raise FunctionInvalid(f"{JSON_GET} reads the property file {found.text!r}; {GET} does not")
        yield found
    elif name == JOIN:
        _require_members(name, given, {"On", "Values"}, {"Values"})
        if not isinstance(given["Values"], list) or not isinstance(given.get("On", ""), str):
            raise FunctionInvalid(f"{JOIN} takes a string On and a list of Values, not {given!r}")
        yield from references(given["Values"])
    elif name == JSON_GET:
        _require_members(name, given, {"PropertyFile", "S3Uri", "Path"}, {"Path"})
        yield from _referenced_by_json_get(given)
    else:
        raise FunctionInvalid(f"Unknown function {name}; there are {GET}, {JOIN} and {JSON_GET}")


def _referenced_by_json_get(given: Mapping[str, Any]) -> Iterator[Reference]:
    if ("PropertyFile" in given) == ("S3Uri" in given):
        raise FunctionInvalid(f"{JSON_GET} takes either a PropertyFile or an S3Uri, not {sorted(given)}")
    if not isinstance(given["Path"], str) or _parts(_rooted(given["Path"])) is None:
        raise FunctionInvalid(f"{JSON_GET} takes a Path such as metrics.auc or $.auc['a'][0], not {given['Path']!r}")
    if "S3Uri" in given:
        yield from references(given["S3Uri"])
        return
    file = given["PropertyFile"]
    found = reference(file.get(GET)) if isinstance(file, Mapping) and len(file) == 1 else None
    if found is None or found.path[:1] != (PROPERTY_FILES,) or len(found.path) != 2:
        raise FunctionInvalid(f"{JSON_GET} takes a PropertyFile such as Steps.A.PropertyFiles.B, not {file!r}")
    yield found


def _called(function: Mapping[str, Any], values: Values) -> Any:
    ((name, given),) = function.items()
    if name == GET:
        return values.get(reference(given))
    if name == JOIN:
        return given.get("On", "").join(_text(resolve(item, values)) for item in given["Values"])
    if "S3Uri" in given:
        url = str(resolve(given["S3Uri"], values))
    else:
        url = values.address_of(reference(given["PropertyFile"][GET]))
    return inside(values.read(url), _parts(_rooted(given["Path"])) or (), f"Path {given['Path']} of {url}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list) or value is None:
        raise FunctionFailed(f"{JOIN} takes texts and numbers, not {value!r}")
    return str(value)


def _at(value: Any, part: Part) -> list[Any]:
    """What a part of a path names in a value; nothing, or several of which the first is meant."""
    if isinstance(value, Mapping):
        return [value[part]] if part in value else []
    if not isinstance(value, list):
        return []
    if isinstance(part, int):
        return value[part : part + 1]
    named = [item for item in value if isinstance(item, Mapping)]
    return [item for item in named if part in [item[key] for key in item if key.endswith("Name")]]


def _rooted(path: str) -> str:
    """A path of JSON as what comes after its root: `$.a[0]` and `a[0]` as `.a[0]`."""
    if path.startswith("$"):
        return path[1:]
    return path if path.startswith("[") else f".{path}"


def _parts(text: str) -> tuple[Part, ...] | None:
    parts: list[Part] = []
    position = 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            return None
        parts.append(int(found["place"]) if found["place"] else found["member"] or found["key"])
        position = found.end()
    return tuple(parts)


def _require_members(name: str, given: Any, known: set[str], needed: set[str]) -> None:
    if not isinstance(given, Mapping) or not needed <= given.keys() <= known:
        raise FunctionInvalid(f"{name} takes {', '.join(sorted(known))}, not {given!r}")
