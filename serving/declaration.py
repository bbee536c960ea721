"""The features and answers that a sealed package declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

LARGEST = 1e30
"""The largest number allowed for a feature without a range, because single precision estimators fail beyond it."""

Kind = Literal["number", "boolean", "text"]


@dataclass(frozen=True)
class Feature:
    """One field of an instance.

    Attributes:
        kind: `number` is never NaN.
        optional: Whether it may be null or missing.
        pattern: A regular expression that the whole text must match.
        categories: The allowed texts; empty when any is.
        example: A text for messages where `pattern` does not match.
    """

    name: str
    kind: Kind
    optional: bool = False
    low: float = -LARGEST
    high: float = LARGEST
    unit: str = ""
    pattern: str = ""
    categories: tuple[str, ...] = ()
    example: str = ""

    @property
    def allowed(self) -> str:
        """Its allowed values, in words."""
        also = ", or null" if self.optional else ""
        return self._allowed() + also

    def fits(self, value: Any) -> bool:
        """Whether a JSON value is allowed."""
        if value is None:
            return self.optional
        if self.kind == "text":
            return isinstance(value, str) and self._fits_text(value)
        if self.kind == "boolean":
            return isinstance(value, bool)
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def _fits_text(self, value: str) -> bool:
        if self.categories:
            return value in self.categories
        return not self.pattern or re.fullmatch(self.pattern, value) is not None

    def _allowed(self) -> str:
        if self.kind == "boolean":
            return "true or false"
        if self.kind == "text":
            if self.categories:
                return f"one of {', '.join(self.categories)}"
            shown = f"a string like {self.example!r}" if self.example else "a string"
            return f"{shown} (matching {self.pattern})" if self.pattern else shown
        unit = f" ({self.unit})" if self.unit else ""
        return f"a number from {self.low:g} to {self.high:g}{unit}" if self.ranged else f"a number{unit}"

    @property
    def ranged(self) -> bool:
        """Whether it declares a range."""
        return self.low > -LARGEST or self.high < LARGEST


@dataclass(frozen=True)
class Declaration:
    """The features of an instance, in the order of the estimator's input, and `answer.json`, empty when unknown."""

    features: tuple[Feature, ...]
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_dict(cls, features: Sequence[Mapping[str, Any]], answer: Mapping[str, Any] | None = None) -> Declaration:
        """Read the contents of `features.json`, with the attributes of `Feature`, and of `answer.json`.

        ValueError names an unknown field or a wrong value.
        """
        return cls(tuple(_feature(one) for one in features), answer or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def numeric(self) -> bool:
        """Whether no feature is a text."""
        return all(feature.kind != "text" for feature in self.features)


def _feature(given: Mapping[str, Any]) -> Feature:
    where = f"features.json: {given.get('name')}"
    unknown = given.keys() - Feature.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(Feature.__dataclass_fields__)
        raise ValueError(f"{where}: found {', '.join(sorted(unknown))}; expected only {known}")
    try:
        found = msgspec.convert(given, Feature)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}") from None
    if wrong := _wrong(found):
        raise ValueError(f"{where}: {wrong}")
    return found


def _wrong(feature: Feature) -> str:
    """Why a feature contradicts itself; empty when it does not."""
    if feature.kind != "text" and (feature.pattern or feature.categories or feature.example):
        return f"pattern, categories and example are for texts, and it is a {feature.kind}"
    if feature.kind != "number" and (feature.low, feature.high) != (-LARGEST, LARGEST):
        return f"low and high are for numbers, and it is a {feature.kind}"
    if not -LARGEST <= feature.low <= feature.high <= LARGEST:
        return f"low is {feature.low:g} and high is {feature.high:g}: expected low up to high, within {LARGEST:g}"
    if feature.pattern and feature.categories:
        return "it has a pattern and categories: expected one of the two"
    try:
        re.compile(feature.pattern)
    except re.error as error:
        return f"pattern is {feature.pattern!r}, which is no regular expression: {error}"
    return ""
