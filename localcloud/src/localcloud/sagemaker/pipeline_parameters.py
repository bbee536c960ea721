"""What can be set when a pipeline is started? Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import invalid

_MOST = 200


class Broken(Exception):
    """The text is no definition; the text says why."""


SCALARS: Mapping[str, Any] = {"String": str, "Integer": int, "Float": (int, float), "Boolean": bool}
"""Types of parameters and outputs, and what their values are in JSON."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The names of parameters and steps."""


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        name: Its name.
        type: `String`, `Integer`, `Float` or `Boolean`.
        default: Its value if none is given; None if one must be given.
        allowed: Its values, if it has not all.
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
    if not isinstance(found, list) or len(found) > _MOST:
        raise Broken(f"Parameters is a list of at most {_MOST}")
    parameters: dict[str, Parameter] = {}
    for one in found:
        require_members("A parameter", one, {"Name", "Type", "DefaultValue", "EnumValues"}, {"Name", "Type"})
        name, kind, default = one["Name"], one["Type"], one.get("DefaultValue")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in parameters:
            raise Broken(f"Parameter name {name!r} is taken or is not of letters, digits, hyphens and underscores")
        if kind not in SCALARS:
            raise Broken(f"Type of parameter {name} is {kind!r}; it is one of {', '.join(SCALARS)}")
        fits = isinstance(default, SCALARS[kind]) and isinstance(default, bool) == (kind == "Boolean")
        allowed = tuple(one.get("EnumValues") or ())
        if default is not None and (not fits or (allowed and default not in allowed)):
            expected = " or ".join(allowed) or f"of type {kind}"
            raise Broken(f"DefaultValue of parameter {name} is {default!r}; it is {expected}")
        parameters[name] = Parameter(name, kind, default, allowed)
    return parameters


def given_value(parameter: Parameter, text: str) -> Any:
    """The value of a parameter that is given as text.

    Raises:
        ApiError: It is none of the parameter's type, or not among those that are allowed.
    """
    try:
        if parameter.type == "Boolean":
            value: Any = {"true": True, "false": False}[text.lower()]
        else:
            value = {"String": str, "Integer": int, "Float": _finite}[parameter.type](text)
    except (ValueError, KeyError):
        raise invalid(f"Parameter {parameter.name} is of type {parameter.type}, not {text!r}.") from None
    if value == "":
        raise invalid(f'Parameter {parameter.name}: [string "" is too short (length: 0, required minimum: 1)]')
    if parameter.allowed and value not in parameter.allowed:
        raise invalid(f"Parameter {parameter.name} is one of {', '.join(parameter.allowed)}, not {text!r}.")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def require_members(what: str, document: Any, known: Collection[str], needed: Collection[str]) -> None:
    """Refuse what is no object, or has a member that it cannot have, or lacks one that it must have.

    Raises:
        Broken: It is so.
    """
    if not isinstance(document, Mapping):
        raise Broken(f"{what} is a JSON object, not {document!r}")
    for name in document:
        if name not in known:
            raise Broken(f"{what} has an unknown member {name!r}; there are {', '.join(sorted(known))}")
    for name in sorted(needed):
        if name not in document:
            raise Broken(f"{what} has no {name}")
