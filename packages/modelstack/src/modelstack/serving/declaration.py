"""The features and answers that a sealed package declares."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any, Literal

import msgspec

LARGEST = 1e30
"""The largest number allowed for a feature without a range, because single precision estimators fail beyond it."""

Kind = Literal["number", "boolean", "text", "bytes"]
DTYPES: Mapping[str, tuple[float, float]] = {
    "float64": (-LARGEST, LARGEST),
    "float32": (-LARGEST, LARGEST),
    "int64": (-(2**63), 2**63 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint8": (0, 255),
}
"""The types of an array's numbers, each with the range that a request may use."""
MOST_NUMBERS = 1_000_000
"""The most numbers of an array, and of all arrays of a request."""
LONGEST = 4_194_304
"""The most bytes of a `bytes` feature that declares no limit; their base64 then fits in a request."""
ARRAY_SUMMARIES = ("mean", "std", "min", "max", "norm", "zeros")
"""What drift may be measured on: `norm` is Euclidean, `zeros` is the share of zeros."""
LENGTHS = {"text": "characters", "bytes": "bytes"}
"""The summary of a text or of bytes."""


@dataclass(frozen=True)
class Feature:
    """One field of an instance.

    Attributes:
        kind: `number` is never NaN; `bytes` are base64 in JSON.
        optional: Whether it may be null or missing.
        pattern: A regular expression that the whole text must match.
        categories: The allowed texts; empty when any is.
        example: A text for messages where `pattern` does not match.
        shape: The lengths of an array of numbers, which is a nested list in JSON; empty for a single value.
        dtype: The type of an array's numbers, one of `DTYPES`.
        summaries: The numbers that drift of an array, a text or bytes is measured on; None for the usual ones.
        longest: The most characters of a text, or bytes; 0 for no limit but that of a request, and of `LONGEST` bytes.
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
    shape: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    dtype: str = "float64"
    summaries: tuple[str, ...] | None = None
    longest: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def size(self) -> int:
        """How many numbers an array holds; 1 for a single value."""
        return prod(self.shape)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest number that is allowed."""
        low, high = DTYPES[self.dtype]
        return max(low, self.low), min(high, self.high)

    @property
    def watched(self) -> tuple[str, ...] | None:
        """The summaries that drift is measured on; None if it is measured on the value itself."""
        usual = ARRAY_SUMMARIES if self.shape else ("bytes",) if self.kind == "bytes" else None
        return usual if self.summaries is None else self.summaries

    @property
    def allowed(self) -> str:
        """Its allowed values, in words."""
        also = ", or null" if self.optional else ""
        return self._allowed() + also

    def fits(self, value: Any) -> bool:
        """Whether a JSON value is allowed."""
        if value is None:
            return self.optional
        if self.shape:
            return not self.misfit(value)
        if self.kind == "bytes":
            return isinstance(value, str) and self._fits_base64(value)
        if self.kind == "text":
            return isinstance(value, str) and self._fits_text(value)
        if self.kind == "boolean":
            return isinstance(value, bool)
        return self._fits_number(value)

    def expected(self, value: Any, allowed: str) -> str:
        """What is allowed, with the usual limits if a number is too large for a feature without a range."""
        too_large = self.kind == "number" and not self.ranged and type(value) in {int, float}
        return allowed.replace("a number", f"a number from {-LARGEST:g} to {LARGEST:g}", 1) if too_large else allowed

    def misfit(self, value: Any) -> str:
        """What is wrong with the JSON value of an array, beginning with the place in it; empty if it is allowed."""
        return self._misfit(value, self.shape, "")

    def _misfit(self, value: Any, shape: tuple[int, ...], where: str) -> str:
        if not shape:
            return (
                ""
                if self._fits_number(value)
                else f"{where}: {shown(value)} is not allowed: expected {self.expected(value, self._item())}"
            )
        if not isinstance(value, list):
            return f"{where}: {shown(value)} is not allowed: expected a list of {shape[0]:,}, {self._shaped()}"
        if len(value) != shape[0]:
            return f"{where}: found a list of {len(value):,}: expected one of {shape[0]:,}, {self._shaped()}"
        each = (self._misfit(one, shape[1:], f"{where}[{place}]") for place, one in enumerate(value))
        return next(filter(None, each), "")

    def _fits_number(self, value: Any) -> bool:
        low, high = self.limits
        of = int if self.shape and not self.dtype.startswith("float") else int | float
        return isinstance(value, of) and not isinstance(value, bool) and low <= value <= high

    def _fits_base64(self, value: str) -> bool:
        try:
            return len(b64decode(value, validate=True)) <= (self.longest or LONGEST)
        except ValueError:
            return False

    def _fits_text(self, value: str) -> bool:
        if self.longest and len(value) > self.longest:
            return False
        if self.categories:
            return value in self.categories
        return not self.pattern or re.fullmatch(self.pattern, value) is not None

    def _allowed(self) -> str:
        if self.kind == "boolean":
            return "true or false"
        if self.shape:
            return f"an array of {self._shaped()}, each {self._item()}"
        if self.kind == "bytes":
            return f"base64 of at most {self.longest or LONGEST:,} bytes"
        if self.kind == "text":
            if self.categories:
                return f"one of {', '.join(self.categories)}"
            most = f" of at most {self.longest:,} characters" if self.longest else ""
            like = f"a string{most} like {self.example!r}" if self.example else f"a string{most}"
            return f"{like} (matching {self.pattern})" if self.pattern else like
        return self._item()

    def _shaped(self) -> str:
        return f"shape {list(self.shape)}"

    def _item(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        if self.dtype.startswith("float"):
            return f"a number from {self.low:g} to {self.high:g}{unit}" if self.ranged else f"a number{unit}"
        low, high = self.limits
        return f"a whole number from {low:,} to {high:,}{unit}"

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
        found = cls(tuple(_feature(one) for one in features), answer or {})
        clash = {f"{one.name}.{name}" for one in found.features for name in one.watched or ()} & {*found.names}
        if clash:
            raise ValueError(
                f"features.json: {min(clash)} is a feature and a summary of another one: rename the feature"
            )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def numeric(self) -> bool:
        """Whether all features are single numbers or booleans."""
        return not self.nested and all(feature.kind != "text" for feature in self.features)

    @property
    def nested(self) -> bool:
        """Whether a feature is an array or bytes, which no table holds."""
        return any(feature.shape or feature.kind == "bytes" for feature in self.features)

    @property
    def watched(self) -> Mapping[str, tuple[str, ...]]:
        """Feature -> its summaries, of those whose drift is measured on summaries."""
        return {one.name: one.watched for one in self.features if one.watched is not None}


def shown(value: Any) -> str:
    """A value of a request, shortened for a message."""
    return cut(repr(value[:61] if isinstance(value, str) else value))


def cut(text: str) -> str:
    """A text, shortened for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


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
    return _wrong_shape(feature) or _wrong_pattern(feature)


def _wrong_pattern(feature: Feature) -> str:
    if feature.pattern and feature.categories:
        return "it has a pattern and categories: expected one of the two"
    try:
        re.compile(feature.pattern)
    except re.error as error:
        return f"pattern is {feature.pattern!r}, which is no regular expression: {error}"
    return ""


def _wrong_shape(feature: Feature) -> str:
    """The same of what arrays, texts and bytes declare."""
    if feature.shape and (feature.kind != "number" or feature.size > MOST_NUMBERS):
        return f"it is a {feature.kind} of shape {list(feature.shape)}: expected numbers, at most {MOST_NUMBERS:,}"
    if feature.dtype not in DTYPES or (feature.dtype != "float64" and not feature.shape):
        return f"dtype is {feature.dtype!r}: expected one of {', '.join(DTYPES)}, for an array"
    if feature.shape and feature.optional and not feature.dtype.startswith("float"):
        return f"it is optional with dtype {feature.dtype}, which has no NaN for a missing array: expected a float type"
    if feature.longest and feature.kind not in ("text", "bytes"):
        return f"longest is for texts and bytes, and it is a {feature.kind}"
    allowed = ARRAY_SUMMARIES if feature.shape else tuple(filter(None, [LENGTHS.get(feature.kind)]))
    if unknown := sorted({*(feature.summaries or ())} - {*allowed}):
        return f"summaries are {', '.join(unknown)}: expected some of {', '.join(allowed) or 'none for a single value'}"
    return ""
