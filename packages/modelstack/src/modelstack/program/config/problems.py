"""Error messages for wrong config values: the field, its value, and what is allowed.

    modelstack:rollout.judge.alpha = 0: allowed is a number from 0.000000001 to 0.5

The allowed range is derived from the field's own constraints, so message and check cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, ValidationError

from modelstack.pipeline.forms import LONGEST, one_of

Location = tuple[str | int, ...]
BOUNDS = {Ge: "ge", Gt: "gt", Le: "le", MinLen: "min_length", MaxLen: "max_length"}
KEY = "[key]"  # how pydantic marks an error of a name in a mapping
TAG = "kind"  # the discriminator of a section of several kinds


@dataclass(frozen=True)
class Allowed:
    """Allowed values in words: metadata of a field whose constraints do not read well, such as a pattern."""

    words: str


NOTHING: Any = object()
"""The value of a field that is not given."""


@dataclass(frozen=True)
class Problem:
    """One wrong value of the config.

    Attributes:
        path: The field as in the file; of a validator's problem, relative to the validated field.
        value: The given value; `NOTHING` shows none.
        default: Whether the value is the field's default.
        missing: Whether a required field is missing.
    """

    path: str
    why: str
    value: Any = NOTHING
    default: bool = False
    missing: bool = False

    def under(self, where: str) -> Problem:
        """The same problem with a prefix before its path."""
        return replace(self, path=f"{where}{self.path}")

    def __str__(self) -> str:
        """As a line for a person."""
        value = "" if self.value is NOTHING else _shown(self.value)
        return f"{self.path}{value}{' (the default)' * self.default}{' is missing' * self.missing}: {self.why}"


class Wrong(ValueError):
    """Problems below a validated field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = problems


class NotAllowed(ValueError):
    """The value has the field's type but is not allowed; the field's `Allowed` says what is."""


def problems(error: ValidationError, namespace: str, root: type[BaseModel]) -> list[Problem]:
    """Every wrong value of a pydantic error. `root` is the validated model."""
    return [found for item in error.errors(include_url=False) for found in _problems(item, namespace, root)]


def unknown(where: str, name: str, value: Any, known: Iterable[str]) -> Problem:
    """The problem of an unknown field."""
    return Problem(where, f"no such field; allowed are {one_of(name, known)}", value)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f" = {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}"


def _problems(item: Any, namespace: str, root: type[BaseModel]) -> list[Problem]:
    location: Location = tuple(part for part in item["loc"] if part != KEY)
    kind, rules, path = _at(location, root)
    where, value = _where(namespace, path), item["input"]
    if item["type"] == "extra_forbidden":
        owner, *_ = _at(location[:-1], root)
        section = _core(owner, [])[0]
        name = str(location[-1])
        replaced = getattr(section, "REPLACED", {}).get(name)
        return [Problem(where, replaced, value) if replaced else unknown(where, name, value, _fields(section))]
    if item["type"] == "missing":
        return [Problem(where, f"allowed is {_words(kind, rules)}", missing=True)]
    if item["type"].startswith("union_tag_"):
        return [_tag(where, value, list(_members(_core(kind, rules)[0])))]
    raised = item["ctx"]["error"] if item["type"] == "value_error" else None
    if raised is not None and not isinstance(raised, NotAllowed):
        shown = NOTHING if KEY in item["loc"] else value
        below = raised.problems if isinstance(raised, Wrong) else [Problem("", str(raised), shown)]
        return [problem.under(where) for problem in below]
    return [Problem(where, f"allowed is {_words(kind, rules)}", value)]


def _where(namespace: str, path: Location) -> str:
    return f"{namespace}:" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def _tag(where: str, given: Any, known: Sequence[str]) -> Problem:
    if TAG not in given:
        return Problem(f"{where}.{TAG}", f"allowed is one of {', '.join(known)}", missing=True)
    return Problem(f"{where}.{TAG}", f"allowed is one of {one_of(str(given[TAG]), known)}", given[TAG])


def what_is_allowed(location: Location, root: type[BaseModel]) -> str:
    """What the field at a location allows, in words."""
    kind, rules, _ = _at(location, root)
    return _words(kind, rules)


def section_of(kind: Any) -> type[BaseModel] | None:
    """The section type of a field, ignoring null; None for another type or several kinds."""
    inner, _, _ = _core(kind, [])
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def kinds_of(kind: Any) -> dict[str, Any]:
    """The sections of a field of several kinds, by kind; else empty."""
    return _members(_core(kind, [])[0])


def _at(location: Location, root: type[BaseModel]) -> tuple[Any, list[Any], Location]:
    """The type of the field at a location, its constraints, and its path in the file.

    A location also holds the kind of a section of several kinds, which is not part of the path.
    """
    kind, rules, path = root, list[Any](), list[str | int]()
    for part in location:
        kind, rules, _ = _core(kind, rules)
        members = _members(kind)
        if members:
            kind, rules = members[str(part)], []
            continue
        path.append(part)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = next((field for name, field in kind.model_fields.items() if part in {name, field.alias}), None)
            kind, rules = (field.annotation, list(field.metadata)) if field else (None, [])
        else:
            kind, rules = get_args(kind)[-1], []  # of a list or a mapping
    return kind, rules, tuple(path)


def _members(kind: Any) -> dict[str, Any]:
    if get_origin(kind) not in {Union, UnionType}:
        return {}
    return {get_args(item.model_fields[TAG].annotation)[0]: item for item in get_args(kind)}


def _core(kind: Any, rules: list[Any]) -> tuple[Any, list[Any], bool]:
    """A type without `Annotated` and `None`, all its constraints, and whether null is allowed."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _core(inner, [*rules, *more])
    if get_origin(kind) in {Union, UnionType}:
        parts = get_args(kind)
        sections = [part for part in parts if part is not NoneType]
        if len(sections) == 1:
            kind, rules, _ = _core(sections[0], rules)
        return kind, rules, len(sections) < len(parts)
    return kind, rules, False


def _words(kind: Any, rules: list[Any]) -> str:
    kind, rules, nullable = _core(kind, rules)
    written = next((rule.words for rule in rules if isinstance(rule, Allowed)), None)
    return (written or _kind(kind, rules)) + (", or null" if nullable else "")


def _kind(kind: Any, rules: list[Any]) -> str:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a section with {', '.join(_fields(kind))}"
    origin = get_origin(kind) or kind
    members = _members(kind)
    if members:
        return f"a section with {TAG}, one of {', '.join(members)}, and its fields"
    if origin is list:
        return f"a list of{_range(rules).removeprefix(' from')}, each {_words(get_args(kind)[0], [])}"
    if origin is dict:
        return "a section of names and values"
    if origin is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[origin] + _range(rules)


def _range(rules: list[Any]) -> str:
    bounds = {type(rule): getattr(rule, BOUNDS[type(rule)]) for rule in rules if type(rule) in BOUNDS}
    least, above = bounds.get(Ge, bounds.get(MinLen)), bounds.get(Gt)
    most = bounds.get(Le, bounds.get(MaxLen))
    low = f" from {_number(least)}" if least is not None else f" above {_number(above)}" if above is not None else ""
    high = f"{' to' if least is not None else ', up to'} {_number(most)}" if most is not None else ""
    return low + high


def _fields(kind: Any) -> list[str]:
    return [field.alias or name for name, field in kind.model_fields.items()]


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
