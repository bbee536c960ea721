"""What can be set when a pipeline is started? Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.pipeline_form import SCALARS, Broken, items, name_of, one_of, require_members

_MOST, _LONGEST_NAME = 200, 256


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        name: Its name.
        type: `String`, `Integer`, `Float` or `Boolean`.
        default: Its value if none is given; None if one must be given.
        allowed: The values that a text may have; empty for any.
    """

    name: str
    type: str
    default: Any = None
    allowed: tuple[str, ...] = ()


def read(found: Any) -> dict[str, Parameter]:
    """Read the parameters of a definition.

    Raises:
        Broken: They are none.
    """
    given = items("Parameters", found)
    if len(given) > _MOST:
        raise Broken(f"Parameters has {len(given)} items; {_MOST} is the most")
    parameters: dict[str, Parameter] = {}
    for one in given:
        parameter = _parameter(one)
        if parameter.name in parameters:
            raise Broken(f"Parameter name {parameter.name!r} is taken")
        parameters[parameter.name] = parameter
    return parameters


def _parameter(found: Any) -> Parameter:
    require_members("A parameter", found, {"Name", "Type", "DefaultValue", "EnumValues"}, {"Name", "Type"})
    name = name_of("Parameter name", found["Name"], _LONGEST_NAME)
    kind, default = one_of(f"Type of parameter {name}", found["Type"], SCALARS), found.get("DefaultValue")
    allowed = tuple(items(f"EnumValues of parameter {name}", found.get("EnumValues")))
    if allowed and (kind != "String" or not all(isinstance(value, str) for value in allowed)):
        raise Broken(f"EnumValues of parameter {name} are texts, of a parameter of type String")
    if default is not None and (not _is_of(kind, default) or (allowed and default not in allowed)):
        expected = " or ".join(allowed) or f"of type {kind}"
        raise Broken(f"DefaultValue of parameter {name} is {default!r:.200}; it is {expected}")
    return Parameter(name, kind, default, allowed)


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, SCALARS[kind]) and isinstance(value, bool) == (kind == "Boolean")


def given_value(parameter: Parameter, text: str) -> Any:
    """The value of a parameter that is given as text.

    Raises:
        ApiError: It is none of the parameter's type, or not among those that are allowed.
    """
    try:
        if parameter.type == "Boolean":
            value: Any = {"true": True, "false": False}[text.lower()]
        else:
            value = {"String": str, "Integer": whole, "Float": finite}[parameter.type](text)
    except (ValueError, KeyError):
        raise invalid(f"Parameter {parameter.name} is of type {parameter.type}, not {text!r}.") from None
    if value == "":
        raise invalid(f'Parameter {parameter.name}: [string "" is too short (length: 0, required minimum: 1)]')
    if parameter.allowed and value not in parameter.allowed:
        raise invalid(f"Parameter {parameter.name} is one of {', '.join(parameter.allowed)}, not {text!r}.")
    return value


def whole(text: str) -> int:
    """A whole number, without the `_` that Python takes in one.

    Raises:
        ValueError: It is none.
    """
    if "_" in text:
        raise ValueError(text)
    return int(text)


def finite(text: str) -> float:
    """A number that JSON can have.

    Raises:
        ValueError: It is none.
    """
    value = float(text)
    if "_" in text or not math.isfinite(value):
        raise ValueError(text)
    return value
