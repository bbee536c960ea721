"""Reads a frozen dataclass back from JSON, by the types of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import EnumType
from functools import cache, partial
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def read(kind: type[_T], stored: Any, *, newer: bool = False, whole: bool = False) -> _T:
    """An object from its fields; a class with `from_dict` reads itself. Another form raises AttributeError,
    KeyError, TypeError or ValueError.

    `newer` ignores unknown fields, as those of a newer version. `whole` requires every field, so that a lost field is
    not taken for its default.
    """
    readers = _readers(kind, newer)
    if whole and (missing := sorted(readers.keys() - stored.keys())):
        raise ValueError(f"missing {', '.join(missing)}")
    given: dict[str, Any] = {name: item for name, item in stored.items() if name in readers or not newer}
    return kind(**{name: reader(item) if (reader := readers.get(name)) else item for name, item in given.items()})


@cache
def _readers(kind: type[Any], newer: bool) -> dict[str, Callable[[Any], Any] | None]:
    return {name: _reader(hint, newer) for name, hint in get_type_hints(kind).items()}


def _reader(hint: Any, newer: bool) -> Callable[[Any], Any] | None:
    """The function that makes a value of a type from its JSON; None if the JSON is the value."""
    parts, origin = get_args(hint), get_origin(hint)
    if NoneType in parts:
        known = _reader(next(part for part in parts if part is not NoneType), newer)
        return known and (lambda stored: None if stored is None else known(stored))
    if origin is tuple:
        item = _reader(parts[0], newer) or _as_it_is
        return lambda stored: tuple(item(each) for each in stored)
    if origin is Mapping:
        value = _reader(parts[1], newer) or _as_it_is
        return lambda stored: {name: value(each) for name, each in stored.items()}
    if hasattr(hint, "from_dict"):
        return hint.from_dict
    if is_dataclass(hint):
        return partial(read, cast(type[Any], hint), newer=newer)
    return hint if isinstance(hint, EnumType) else None


def _as_it_is(stored: Any) -> Any:
    return stored
