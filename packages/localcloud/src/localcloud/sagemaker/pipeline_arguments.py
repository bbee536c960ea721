"""Do the arguments of a step fit the request that they become, as far as that can be known beforehand? Pure.

AWS looks at this when a pipeline is made: the names and values of members by the service model, and of a reference the
type of what it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.sagemaker.pipeline_functions import GET, JOIN, Part, is_function, reference, references
from localcloud.server import shapes

TypeOf = Callable[[str], str | None]
"""The type of what a reference stands for: `String`, `Integer`, `Float`, `Boolean` or another; None if unknown."""

_TYPES = {"string": "String", "integer": "Integer", "long": "Integer", "float": "Float", "double": "Float"}
_TYPES |= {"boolean": "Boolean", "timestamp": "String", "structure": "Structure", "list": "List", "map": "Map"}
_WIDER = {("Integer", "Float")}


def problems(shape: Any, value: Any, type_of: TypeOf, *, without: str = "") -> Iterator[str]:
    """What of a step's arguments can be no request.

    Args:
        shape: Of the request.
        value: The arguments; functions stand for what is not known yet.
        type_of: Knows the types of references.
        without: A required member that the service adds itself.
    """
    for problem in _members(shape, value, type_of, ""):
        if problem != f"{without} is missing":
            yield problem


def type_at(shape: Any, path: tuple[Part, ...]) -> str | None:
    """The type of a property; None if there is no such property."""
    for part in path:
        if shape.type_name == "structure" and part in shape.members:
            shape = shape.members[part]
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map" and isinstance(part, str):
            shape = shape.value
        else:
            return None
    return _TYPES.get(shape.type_name, shape.type_name)


def _members(shape: Any, value: Mapping[str, Any], type_of: TypeOf, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{path}.{name} is missing".lstrip(".")
    for name, item in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name not in shape.members:
            yield f"unknown member {where}; there are {', '.join(sorted(shape.members))}"
        elif item is not None:
            yield from _fits(shape.members[name], item, type_of, where)


def _fits(shape: Any, value: Any, type_of: TypeOf, path: str) -> Iterator[str]:
    if is_function(value):
        yield from _function_fits(shape, value, type_of, path)
    elif shape.type_name == "structure" and isinstance(value, Mapping):
        yield from _members(shape, value, type_of, path)
    elif shape.type_name == "list" and isinstance(value, list):
        for place, item in enumerate(value, start=1):
            yield from _fits(shape.member, item, type_of, f"{path}.{place}")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _fits(shape.value, item, type_of, f"{path}.{name}")
    else:
        yield from (f"Model Validation failed: {path}: {message}" for message in shapes.validate(shape, value))


def _function_fits(shape: Any, function: Mapping[str, Any], type_of: TypeOf, path: str) -> Iterator[str]:
    list(references(function))
    wanted = _TYPES.get(shape.type_name, shape.type_name)
    if JOIN in function:
        if wanted != "String":
            yield f"{path}: Cannot assign function {JOIN} to argument of type [{wanted}]"
    elif GET in function:
        named = reference(function[GET]).text
        given = type_of(named)
        if given not in {None, wanted} and (given, wanted) not in _WIDER:
            yield f"{path}: Cannot assign property reference [{named}] to argument of type [{wanted}]"
