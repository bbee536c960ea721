"""What each answer of a model has to be: the fields and kinds that its package declares, and no others.

    promise = Promise.of(declared.answer, example)    # what `answer.json` says, and the answer to the sealed example
    promise.check(answers)                            # raises WrongAnswers

The answer to the sealed example gives the fields and their kinds, as `/v2/models/NAME` shows them. `answer.json` says
more of the fields that it names. In all others, null may stand for a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.answers import Answers, WrongAnswers

_NUMBER, _NULL = frozenset({int, float}), frozenset({type(None)})
_WORDS = {bool: "true or false", int: "a number", float: "a number", str: "a string", type(None): "null"}


@dataclass(frozen=True)
class Field:
    """What the values of one field of an answer are.

    Attributes:
        types: Python types of its values; none when the example does not show it.
        classes: The values that are allowed, instead.
    """

    types: frozenset[type] = frozenset()
    classes: frozenset[Any] = frozenset()

    @property
    def allowed(self) -> str:
        """What its values may be, in words."""
        if self.classes:
            return f"one of {', '.join(sorted(json.dumps(one) for one in self.classes))}"
        return " or ".join(sorted({_kind(one) for one in self.types})) or "a value"


Fields = Mapping[str, Any]
"""Name -> `Field`; again such a mapping for an object."""


@dataclass(frozen=True)
class Promise:
    """What is held against each answer.

    Attributes:
        fields: Those of an answer.
    """

    fields: Fields

    @classmethod
    def of(cls, form: Mapping[str, Any], example: Answers) -> Promise:
        """Take what a package declares.

        Args:
            form: The content of `answer.json`; empty when that is not known.
            example: The answer to the sealed example.

        Raises:
            WrongAnswers: The example is not answered as `answer.json` says.
        """
        found = cls({**_like(example.columns), **_said(form, example.columns)})
        found.check(example)
        return found

    def check(self, answers: Answers) -> None:
        """Hold answers against it.

        Raises:
            WrongAnswers: A field is missing, is one too many, or has a value of another kind.
        """
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
        elif field.classes:
            _check_classes(field, values, within + name)
        elif field.types and not field.types.issuperset(map(type, values)):
            row = next(row for row, one in enumerate(values) if type(one) not in field.types)
            raise _wrong(field, values, within + name, row)


def _check_classes(field: Field, values: list[Any], name: str) -> None:
    """By value, as labels are compared: 1 is true where true is a class."""
    try:
        if field.classes.issuperset(values):
            return
    except TypeError:  # a list or an object among them: no class is equal to it, and it cannot be looked up
        pass
    row = next(row for row, one in enumerate(values) if not any(one == known for known in field.classes))
    raise _wrong(field, values, name, row)


def _wrong(field: Field, values: list[Any], name: str, row: int) -> WrongAnswers:
    return WrongAnswers(f"predict returned {_shown(values[row])} as {name} of row {row}: expected {field.allowed}")


def _like(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an answer shows."""
    return {
        name: _like(values) if isinstance(values, dict) else Field(_types(values)) for name, values in columns.items()
    }


def _types(values: Iterable[Any]) -> frozenset[type]:
    """The types that are taken for those of some values; none where all of these are null."""
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
    """A value for a message. A string may be the caller's own, which nobody writes into a log."""
    return json.dumps(value) if type(value) in _WORDS and not isinstance(value, str) else _kind(type(value))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
