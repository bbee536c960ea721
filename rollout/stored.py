"""Reads back what was stored of a frozen dataclass as JSON, by the types of its fields.

    read(Verdict, {"outcome": "promoted", "reason": {...}, ...})

Fields that were not stored take their defaults, or are refused. A class that reads itself (`from_dict`) does so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import EnumType
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def read(kind: type[_T], stored: Any, *, newer: bool = False, whole: bool = False) -> _T:
    """An object, from its fields.

    Args:
        kind: Its class.
        stored: Field -> JSON value.
        newer: Whether fields that the class does not have are left out, as those of a newer version.
        whole: Whether every field of the class must be there: what was lost is then not taken for its default.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It is of another form.
    """
    hints = _hints(kind)
    if whole and (missing := sorted(hints.keys() - stored.keys())):
        raise ValueError(f"missing {', '.join(missing)}")
    given: Mapping[str, Any] = {name: item for name, item in stored.items() if name in hints or not newer}
    return kind(**{name: _value(hints.get(name), item, newer) for name, item in given.items()})


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, stored: Any, newer: bool) -> Any:
    parts, origin = get_args(hint), get_origin(hint)
    if NoneType in parts:
        return None if stored is None else _value(next(part for part in parts if part is not NoneType), stored, newer)
    if origin is tuple:
        return tuple(_value(parts[0], item, newer) for item in stored)
    if origin is Mapping:
        return {name: _value(parts[1], item, newer) for name, item in stored.items()}
    if hasattr(hint, "from_dict"):
        return hint.from_dict(stored)
    if is_dataclass(hint):
        return read(cast(type[Any], hint), stored, newer=newer)
    return cast(Any, hint)(stored) if isinstance(hint, EnumType) else stored
