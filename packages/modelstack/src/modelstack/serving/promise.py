"""The check of each answer: exactly the fields and kinds that its package declares.

The answer to the sealed example gives the fields and their kinds, as `/v2/models/NAME` shows them. `answer.json` is
stricter on the fields that it names. Any other field may be null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.serving.answers import Answers, Arrays, WrongAnswers

_NUMBER, _NULL = frozenset({int, float}), frozenset({type(None)})
_WORDS = {bool: "true or false", int: "a number", float: "a number", str: "a string", type(None): "null"}


@dataclass(frozen=True)
class Field:
    """The allowed values of a field: Python types (none when the example does not show them), or else classes.

    With a shape, each row has an array of values of these types.
    """

    types: frozenset[type] = frozenset()
    classes: frozenset[Any] = frozenset()
    shape: tuple[int, ...] = ()

    @property
    def allowed(self) -> str:
        """Its allowed values, in words."""
        if self.classes:
            return f"one of {', '.join(sorted(json.dumps(one) for one in self.classes))}"
        each = " or ".join(sorted({_kind(one) for one in self.types})) or "a value"
        return f"an array of shape {list(self.shape)}, each {each}" if self.shape else each


Fields = Mapping[str, Any]
"""Name -> `Field`, or such a mapping for an object."""


@dataclass(frozen=True)
class Promise:
    """The fields of every answer."""

    fields: Fields

    @classmethod
    def of(cls, form: Mapping[str, Any], example: Answers) -> Promise:
        """From `answer.json`, if known, and the answer to the sealed example. Raises WrongAnswers if they disagree."""
        found = cls({**_like(example.columns), **_said(form, example.columns)})
        found.check(example)
        return found

    def check(self, answers: Answers) -> None:
        """Raise WrongAnswers if a field is missing, extra, or has a value of another kind."""
        _check(self.fields, answers.columns, "")


def _check(fields: Fields, columns: Mapping[str, Any], within: str) -> None:
    if columns.keys() != fields.keys():
        where = f" in {within[:-1]}" if within else ""
        raise WrongAnswers(f"predict returned the fields {_listed(columns)}{where}: expected {_listed(fields)}")
    for name, field in fields.items():
        values = columns[name]
        if type(field) is not Field:
            if not isinstance(values, dict):
                raise WrongAnswers(f"predict returned no object as {within}{name}: expected {_listed(field)} in it")
            _check(field, values, f"{within}{name}.")
        elif isinstance(values, dict):
            raise WrongAnswers(f"predict returned an object as {within}{name}: expected {field.allowed}")
        elif field.shape or isinstance(values, Arrays):
            _check_arrays(field, values, within + name)
        elif field.classes:
            _check_classes(field, values, within + name)
        elif field.types and not field.types.issuperset(map(type, values)):
            row = next(row for row, one in enumerate(values) if type(one) not in field.types)
            raise _wrong(field, values, within + name, row)


def _check_arrays(field: Field, values: Any, name: str) -> None:
    found = (values.shape, values.type) if isinstance(values, Arrays) else ((), object)
    if found[0] != field.shape or found[1] not in field.types:
        shown = f"an array of shape {list(found[0])}, each {_kind(found[1])}" if found[0] else "no array of one shape"
        raise WrongAnswers(f"predict returned {shown} as {name}: expected {field.allowed}")


def _check_classes(field: Field, values: list[Any], name: str) -> None:
    """By value, as labels are compared: 1 equals true where true is a class."""
    try:
        if field.classes.issuperset(values):
            return
    except TypeError:  # a list or an object is unhashable, and equal to no class
        pass
    row = next(row for row, one in enumerate(values) if not any(one == known for known in field.classes))
    raise _wrong(field, values, name, row)


def _wrong(field: Field, values: list[Any], name: str, row: int) -> WrongAnswers:
    return WrongAnswers(f"predict returned {_shown(values[row])} as {name} of row {row}: expected {field.allowed}")


def _like(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _like(values) if isinstance(values, dict) else _field(values) for name, values in columns.items()}


def _field(values: Any) -> Field:
    if isinstance(values, Arrays):
        return Field(_NUMBER if values.type in _NUMBER else frozenset({values.type}), shape=values.shape)
    return Field(_types(values))


def _types(values: Iterable[Any]) -> frozenset[type]:
    """The types to accept, given an example's values; none where all of these are null."""
    found = frozenset(map(type, values)) - _NULL
    return found and (found | _NULL | (_NUMBER if found & _NUMBER else _NULL))


def _said(form: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that `answer.json` names."""
    if form.get("kind") == "regression":
        return {form["value"]: Field(_NUMBER)}
    if form.get("kind") != "classification":
        return {}
    found: dict[str, Any] = {form["decision"]: Field(classes=frozenset(form["classes"]))}
    if name := form.get("probability"):
        each = [one if isinstance(one, str) else json.dumps(one) for one in form["classes"]]
        alone = not isinstance(columns.get(name), dict)
        found[name] = Field(_NUMBER) if alone else dict.fromkeys(each, Field(_NUMBER))
    return found


def _kind(of: type) -> str:
    return _WORDS.get(of, of.__name__)


def _shown(value: Any) -> str:
    """A value for a message; not a string, which may be the caller's own and must not be logged."""
    return json.dumps(value) if type(value) in _WORDS and not isinstance(value, str) else _kind(type(value))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
