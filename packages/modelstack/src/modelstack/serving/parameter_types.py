"""The parameters of a model, as the types of its `Parameters` declare them.

    parse(Parameters, {"strength": 0.5})      # Parameters(strength=0.5)
    parse(Parameters, {"strength": 0})        # ParameterError: strength: 0 is not allowed: expected a number from ...

`Parameters` is a frozen dataclass with fields of `bool`, `int`, `float`, `str`, `date`, or a `Literal` of texts and
numbers; `Annotated[float, (0.001, 1000)]` has inclusive bounds; `|` allows either. `__post_init__` checks dependencies
between fields and raises a ValueError with a line `name: what is wrong` per problem.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from typing import Any


class ParameterError(ValueError):
    """Parameters cannot be used; the message has a line for each, `name: what is wrong`."""


@dataclass(frozen=True)
class NoParameters:
    """The settings of a model that declares none."""


def parse(declared: type, given: Mapping[str, Any]) -> Any:
    """Check a stack's parameters (name -> JSON value), and fill in the defaults; the error names every problem."""
    hints = typing.get_type_hints(declared, include_extras=True)
    known = {field.name: field for field in fields(declared)}
    has = f"the model has {', '.join(sorted(known)) or 'none'}"
    problems = [f"{name}: unknown parameter; {has}" for name in sorted(given.keys() - known.keys())]
    values: dict[str, Any] = {}
    for name, field in sorted(known.items()):
        if name in given:
            try:
                values[name] = _read(hints[name], given[name])
            except (TypeError, ValueError):
                problems.append(f"{name}: {given[name]!r} is not allowed: expected {_expected(hints[name])}")
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{name}: missing; expected {_expected(hints[name])}")
    if problems:
        raise ParameterError("\n".join(problems))
    try:
        return declared(**values)
    except ValueError as error:
        raise ParameterError(str(error)) from None


def as_dict(settings: Any) -> dict[str, Any]:
    """Every parameter, defaults included, as JSON values."""
    return {field.name: as_json(getattr(settings, field.name)) for field in fields(settings)}


def as_json(value: Any) -> Any:
    """A parameter's value as JSON has it: a day is a text."""
    return str(value) if isinstance(value, date) else value


def day(text: Any) -> date:
    """Read YYYY-MM-DD, and no other ISO form such as `2013-W01-1`; raises ValueError or TypeError otherwise."""
    if isinstance(text, date):
        return text
    found = date.fromisoformat(text)
    if str(found) != text:
        raise ValueError
    return found


def _read(hint: Any, value: Any) -> Any:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for part in parts:
            try:
                return _read(part, value)
            except (TypeError, ValueError):
                continue
        raise ValueError
    if origin is typing.Literal:
        return next(part for part in parts if _same(part, value)) if any(_same(p, value) for p in parts) else _refuse()
    if origin is typing.Annotated:
        found, (low, high) = _read(parts[0], value), parts[1]
        return found if low <= found <= high else _refuse()
    return _READERS[hint](value)


def _expected(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(_expected(part) for part in parts)
    if origin is typing.Literal:
        return str(parts[0]) if len(parts) == 1 else f"one of {', '.join(map(str, parts))}"
    if origin is typing.Annotated:
        low, high = parts[1]
        if parts[0] is date:
            return f"a day from {low} to {high} as YYYY-MM-DD"
        return f"{_NAMES[parts[0]]} from {low} to {high}"
    return _NAMES[hint] + (" as YYYY-MM-DD" if hint is date else "")


def _same(allowed: object, value: object) -> bool:
    return allowed == value and isinstance(allowed, bool) == isinstance(value, bool)


def _refuse() -> Any:
    raise ValueError


def _switch(value: Any) -> bool:
    return value if isinstance(value, bool) else _refuse()


def _integer(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return int(value) if whole and not isinstance(value, bool) else _refuse()


def _number(value: Any) -> float:
    # NaN and infinity are no JSON, so the recipe could not be written.
    found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _refuse()
    return found if found - found == 0 else _refuse()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _refuse()


_READERS: Mapping[Any, Any] = {bool: _switch, int: _integer, float: _number, str: _text, date: day}
_NAMES: Mapping[Any, str] = {bool: "true or false", int: "an integer", float: "a number", str: "a text", date: "a day"}
