"""Rows for a model from the body of a request, checked in one pass.

A valid body costs one pass of msgspec, with types made from the declaration; the range of an array is checked on the
NumPy array that it becomes. A body that does not fit is read again, slowly, to name each field, its value and what is
allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from math import ceil, floor
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelstack.serving.declaration import LONGEST, MOST_NUMBERS, Declaration, Feature, cut, shown

MOST_ROWS = 1000
"""The most rows of one request."""
SHOWN_PROBLEMS = 20
_COUNTED_PROBLEMS = 1000
MOST_EXPLAINED = 512 * 1024
"""The largest body whose problems are all named: its JSON takes up to thirty times its bytes of memory for that."""
_COUNTED = 256 * 1024  # bytes of a body whose numbers are not counted: boxed, they take up to 16 times its memory
_SPACIOUS = 4  # times the most rows that may fit in a body before their count is checked while they are read


class BadRequest(ValueError):
    """The caller's mistake: `status` is that of the answer, `problems` has a line for each reason."""

    def __init__(self, status: int, *problems: str) -> None:
        super().__init__("; ".join(problems[:SHOWN_PROBLEMS]))
        self.status = status
        hidden = len(problems) - SHOWN_PROBLEMS
        self.problems = [*problems[:SHOWN_PROBLEMS], *([f"and {hidden:,} more"] if hidden > 0 else [])]


class Rows:
    """Checked instances, as `predict(model, rows)` takes them; `values` has a tuple a row, None where missing.

    The value of a feature with a shape is a NumPy array; `arrays` has the places of such features, `texts` those of
    texts and bytes.
    """

    def __init__(
        self, names: Sequence[str], values: list[tuple[Any, ...]], texts: Sequence[int], arrays: Sequence[int] = ()
    ) -> None:
        self.names = names
        self.values = values
        self.texts = texts
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes of memory of its arrays."""
        return len(self) * sum(self.values[0][place].nbytes for place in self.arrays)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several requests."""
        values = [row for part in parts for row in part.values]
        return cls(parts[0].names, values, parts[0].texts, parts[0].arrays)

    @cached_property
    def table(self) -> NDArray[Any]:
        """The estimator's input, shape (rows, features): floats, or objects if any feature is a text.

        A missing number is NaN, a missing text None, as in training. An array is a column for each of its numbers.
        """
        if self.arrays:
            return self._flat()
        if not self.texts:
            return np.array(self.values, dtype=float)
        table = np.empty((len(self.values), len(self.names)), dtype=object)
        table[:] = self.values
        missing = table == None  # noqa: E711  elementwise
        if missing.any():
            missing[:, self.texts] = False
            table[missing] = np.nan
        return table

    def _flat(self) -> NDArray[Any]:
        parts: list[NDArray[Any]] = []
        for place, values in enumerate(zip(*self.values, strict=True)):
            if place in self.arrays:
                parts.append(np.array(values).reshape(len(values), -1))
            elif place in self.texts:
                parts.append(np.array([values], object).T)
            else:
                parts.append(np.array([values], float).T)
        if len(parts) == 1 and not self.texts:
            return parts[0].astype(float, copy=False)
        return np.concatenate([part.astype(object if self.texts else float, copy=False) for part in parts], axis=1)

    @property
    def columns(self) -> Mapping[str, Any]:
        """Feature -> its values, None for a missing one, or an array of shape (rows, ...) if it has a shape."""
        each = zip(*self.values, strict=True)
        found = (np.array(column) if place in self.arrays else list(column) for place, column in enumerate(each))
        return dict(zip(self.names, found, strict=True))


class Reader:
    """Reads bodies of one declaration."""

    def __init__(self, declared: Declaration) -> None:
        self._declared = declared
        self._names = declared.names
        self._texts = [place for place, one in enumerate(declared.features) if one.kind in ("text", "bytes")]
        self._arrays = {place: feature for place, feature in enumerate(declared.features) if feature.shape}
        fields = [f"f{place}" for place in range(len(self._names))]
        self._instance = msgspec.defstruct(
            "Instance",
            [_field(name, feature) for name, feature in zip(fields, declared.features, strict=True)],
            rename=dict(zip(fields, self._names, strict=True)),
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        self._decode = _decoder(list[self._instance])
        self._decode_bounded = _decoder(bounded(self._instance, MOST_ROWS + 1))
        required = [feature for feature in declared.features if not feature.optional]
        names = dict.fromkeys([feature.name for feature in required], 0)
        self._least = len(msgspec.json.encode(names)) + 1 + sum(2 * one.size for one in required if one.shape)

    def json(self, body: bytes) -> Rows:
        """Read `{"instances": [{...}, ...]}`. Raises BadRequest."""
        if self._arrays and len(body) > _COUNTED and (found := body.count(b",")) > MOST_NUMBERS:
            raise BadRequest(400, f"the body has {found:,} commas: expected at most {MOST_NUMBERS:,} numbers in arrays")
        try:
            if len(body) > _SPACIOUS * MOST_ROWS * self._least:
                instances = values_of(self._decode_bounded(body).instances)
            else:
                instances = self._decode(body).instances
            return self._rows(instances)
        except (_OutOfRange, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._explained(body, error) from None

    def documents(self, instances: Sequence[Mapping[str, Any]]) -> Rows:
        """Check instances that another format was converted to. Raises BadRequest."""
        try:
            return self._rows(msgspec.convert(instances, list[self._instance]))
        except (_OutOfRange, msgspec.ValidationError) as error:
            raise BadRequest(400, *(self._problems(instances) or [str(error)])) from None

    def _rows(self, instances: list[Any]) -> Rows:
        if not 1 <= len(instances) <= MOST_ROWS:
            raise BadRequest(400, _count(len(instances)))
        astuple = msgspec.structs.astuple
        values = [astuple(one) for one in instances]
        if self._arrays:
            values = [self._with_arrays(one) for one in values]
        return Rows(self._names, values, self._texts, tuple(self._arrays))

    def _with_arrays(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        found = list(row)
        for place, feature in self._arrays.items():
            found[place] = array(feature, row[place])
        return tuple(found)

    def _explained(self, body: bytes, error: Exception) -> BadRequest:
        if len(body) > MOST_EXPLAINED:
            return BadRequest(
                400, f"the body is larger than {MOST_EXPLAINED:,} bytes, so one problem is named: {error}"
            )
        try:
            document = msgspec.json.decode(body)
        except RecursionError:
            return BadRequest(400, "the body is nested too deeply")
        except (msgspec.DecodeError, UnicodeDecodeError) as found:
            return BadRequest(400, f"the body is not JSON: {found}. NaN and infinity are none; null stands for missing")
        instances, problem = _instances(document)
        if problem:
            return BadRequest(400, problem)
        return BadRequest(400, *(self._problems(instances) or [str(error)]))

    def _problems(self, instances: Sequence[Any]) -> list[str]:
        found = (f"instances[{row}]{line}" for row, one in enumerate(instances) for line in self._wrong(one))
        return list(islice(found, _COUNTED_PROBLEMS))

    def _wrong(self, instance: Any) -> Iterator[str]:
        names = ", ".join(self._names)
        if not isinstance(instance, dict):
            yield f" is {shown(instance)}, which is not allowed: expected an object with the fields {names}"
            return
        given = cast(dict[str, Any], instance)
        yield from (
            f".{_quoted(name)}: unknown field; allowed are {names}" for name in given if name not in self._names
        )
        for feature in self._declared.features:
            value = given.get(feature.name)
            if feature.fits(value):
                continue
            if feature.shape and value is not None:
                yield f".{feature.name}{feature.misfit(value)}"
                continue
            found = f"{shown(value)} is not allowed: " if feature.name in given else "missing; "
            yield f".{feature.name}: {found}expected {feature.expected(value, feature.allowed)}"


class _OutOfRange(ValueError):
    """A number of an array is out of its range."""


def array(feature: Feature, value: Any) -> NDArray[Any]:
    """The NumPy array of a value that msgspec has checked; a missing one is NaN. Raises ValueError if out of range."""
    if value is None:
        return np.full(feature.shape, np.nan, feature.dtype)
    for _ in feature.shape[1:]:
        value = chain.from_iterable(value)
    wide = np.fromiter(value, float if feature.dtype == "float32" else feature.dtype, feature.size)
    low, high = feature.limits
    if not (wide.min() >= low and wide.max() <= high):
        raise _OutOfRange(f"{feature.name}: found {wide.min():g} to {wide.max():g}: expected {feature.allowed}")
    return wide.astype(feature.dtype, copy=False).reshape(feature.shape)


def bounded(item: Any, most: int) -> Any:
    """The type of a list that is refused as soon as it has more items, before these take memory.

    msgspec checks the length of a `list` only when it has read all of it.
    """
    fields = [(f"i{place}", item | msgspec.UnsetType, msgspec.UNSET) for place in range(most)]
    return msgspec.defstruct("Bounded", fields, array_like=True, forbid_unknown_fields=True, gc=False)


def values_of(found: Any) -> list[Any]:
    """The items of a list, or of a bounded one."""
    if isinstance(found, list):
        return cast(list[Any], found)
    return [one for one in msgspec.structs.astuple(found) if one is not msgspec.UNSET]


def _decoder(instances: Any) -> Callable[[bytes], Any]:
    request = msgspec.defstruct("Request", [("instances", instances)], forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(request).decode


def _instances(document: Any) -> tuple[list[Any], str]:
    """The instances of a document, and what is wrong with the document around them."""
    if not isinstance(document, dict) or document.keys() != {"instances"}:
        fields = ", ".join(sorted(document)) if isinstance(document, dict) else ""
        found = f"fields {cut(fields) or 'none'}" if isinstance(document, dict) else _type(document)
        return [], f'the body has {found}: expected an object with the one field "instances"'
    instances = document["instances"]
    if not isinstance(instances, list):
        return [], f"instances: found {_type(instances)}: expected a list of 1 to {MOST_ROWS} objects"
    return instances, "" if 1 <= len(instances) <= MOST_ROWS else _count(len(instances))


def _quoted(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 60 else shown(name)


def _count(found: int) -> str:
    return f"instances: found {found:,} of them: expected a list of 1 to {MOST_ROWS} objects"


def _type(value: Any) -> str:
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")


def _field(name: str, feature: Feature) -> Any:
    """The field of the msgspec struct that checks one feature."""
    kind: Any
    most = msgspec.Meta(max_length=feature.longest or None)
    if feature.shape:
        kind = float if feature.dtype.startswith("float") else _whole(feature)
        for length in reversed(feature.shape):
            kind = cast(Any, Annotated[list[kind], msgspec.Meta(min_length=length, max_length=length)])
    elif feature.kind == "bytes":
        kind = Annotated[bytes, msgspec.Meta(max_length=feature.longest or LONGEST)]
    elif feature.kind == "boolean":
        kind = bool
    elif feature.kind == "number":
        kind = Annotated[float, msgspec.Meta(ge=feature.low, le=feature.high)]
    elif feature.categories:
        kind = cast(Any, Literal)[feature.categories]
    elif feature.pattern:
        kind = Annotated[str, msgspec.Meta(pattern=rf"\A(?:{feature.pattern})\Z"), most]
    else:
        kind = Annotated[str, most]
    return (name, kind | None, None) if feature.optional else (name, kind)


def _whole(feature: Feature) -> Any:
    """The type of whole numbers, which must fit in the array before its range is checked."""
    low, high = feature.limits
    return Annotated[int, msgspec.Meta(ge=ceil(low), le=floor(high))]
