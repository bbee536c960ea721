"""Rows for a model from the body of a request, checked in one pass.

A valid body costs one pass of msgspec, with types made from the declaration. A body that does not fit is read again,
slowly, to name each field, its value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.declaration import LARGEST, Declaration, Feature

MOST_ROWS = 1000
"""The most rows of one request."""
SHOWN_PROBLEMS = 20
_COUNTED_PROBLEMS = 1000
MOST_EXPLAINED = 512 * 1024
"""The largest body whose problems are all named: its JSON takes up to thirty times its bytes of memory for that."""
_SPACIOUS = 4  # times the most rows that may fit in a body before their count is checked while they are read


class BadRequest(ValueError):
    """The caller's mistake: `status` is that of the answer, `problems` has a line for each reason."""

    def __init__(self, status: int, *problems: str) -> None:
        super().__init__("; ".join(problems[:SHOWN_PROBLEMS]))
        self.status = status
        hidden = len(problems) - SHOWN_PROBLEMS
        self.problems = [*problems[:SHOWN_PROBLEMS], *([f"and {hidden:,} more"] if hidden > 0 else [])]


class Rows:
    """Checked instances, as `predict(model, rows)` takes them; `values` has a tuple a row, None where missing."""

    def __init__(self, names: Sequence[str], values: list[tuple[Any, ...]], texts: Sequence[int]) -> None:
        self.names = names
        self.values = values
        self.texts = texts

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several requests."""
        values = [row for part in parts for row in part.values]
        return cls(parts[0].names, values, parts[0].texts)

    @cached_property
    def table(self) -> NDArray[Any]:
        """The estimator's input, shape (rows, features): floats, or objects if any feature is a text.

        A missing number is NaN, a missing text None, as in training.
        """
        if not self.texts:
            return np.array(self.values, dtype=float)
        table = np.empty((len(self.values), len(self.names)), dtype=object)
        table[:] = self.values
        missing = table == None  # noqa: E711  elementwise
        if missing.any():
            missing[:, self.texts] = False
            table[missing] = np.nan
        return table

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        """Feature -> its values, None for a missing one."""
        return dict(zip(self.names, (list(column) for column in zip(*self.values, strict=True)), strict=True))


class Reader:
    """Reads bodies of one declaration."""

    def __init__(self, declared: Declaration) -> None:
        self._declared = declared
        self._names = declared.names
        self._texts = [place for place, feature in enumerate(declared.features) if feature.kind == "text"]
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
        required = [feature.name for feature in declared.features if not feature.optional]
        self._least = len(msgspec.json.encode(dict.fromkeys(required, 0))) + 1

    def json(self, body: bytes) -> Rows:
        """Read `{"instances": [{...}, ...]}`. Raises BadRequest."""
        try:
            if len(body) > _SPACIOUS * MOST_ROWS * self._least:
                instances = values_of(self._decode_bounded(body).instances)
            else:
                instances = self._decode(body).instances
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._explained(body, error) from None
        return self._rows(instances)

    def documents(self, instances: Sequence[Mapping[str, Any]]) -> Rows:
        """Check instances that another format was converted to. Raises BadRequest."""
        try:
            found = msgspec.convert(instances, list[self._instance])
        except msgspec.ValidationError as error:
            raise BadRequest(400, *(self._problems(instances) or [str(error)])) from None
        return self._rows(found)

    def _rows(self, instances: list[Any]) -> Rows:
        if not 1 <= len(instances) <= MOST_ROWS:
            raise BadRequest(400, _count(len(instances)))
        astuple = msgspec.structs.astuple
        return Rows(self._names, [astuple(one) for one in instances], self._texts)

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
            found = f"{shown(value)} is not allowed: " if feature.name in given else "missing; "
            too_large = feature.kind == "number" and not feature.ranged and type(value) in {int, float}
            limits = f"a number from {-LARGEST:g} to {LARGEST:g}"
            allowed = feature.allowed.replace("a number", limits, 1) if too_large else feature.allowed
            yield f".{feature.name}: {found}expected {allowed}"


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


def shown(value: Any) -> str:
    """A value of a request, shortened for a message."""
    return cut(repr(value[:61] if isinstance(value, str) else value))


def cut(text: str) -> str:
    """A text, shortened for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


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
    if feature.kind == "boolean":
        kind = bool
    elif feature.kind == "number":
        kind = Annotated[float, msgspec.Meta(ge=feature.low, le=feature.high)]
    elif feature.categories:
        kind = cast(Any, Literal)[feature.categories]
    elif feature.pattern:
        kind = Annotated[str, msgspec.Meta(pattern=rf"\A(?:{feature.pattern})\Z")]
    else:
        kind = str
    return (name, kind | None, None) if feature.optional else (name, kind)
