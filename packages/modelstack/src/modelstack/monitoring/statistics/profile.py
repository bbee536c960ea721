"""Profile of the training data by feature: the bins, ranges and codes that later rows are counted over.

`modelstack.monitoring.bulk` takes it from the training data and seals it into the package as JSON:

    {"rows": 49674,
     "features": {
       "distance": {"kind": "numeric", "edges": [199.0, ...], "counts": [5021, ...], "missing": 0,
                    "low": 80.0, "high": 4983.0},
       "dest": {"kind": "categorical", "counts": {"ORD": 2405, ..., "other": 12}, "rare": ["ANC", ...],
                "missing": 0}}}

- numeric: x falls into bin `bisect.bisect_left(edges, x)`; the first and the last bin are open. Values beyond `low` and
  `high`, the training minimum and maximum, count in their bin and again as out of range.
- `summaries`, if any: {"embedding": ["mean", "norm"]}; the columns are then `embedding.mean` and `embedding.norm`.
- categorical: `counts` has the most frequent codes, and `other` the rows of the rest. `rare` lists the codes in
  `other`, which distinguishes new codes from rare ones; it is null if there were too many, and then no code is new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from statistics import NormalDist
from typing import Any, cast

OTHER = "other"
_NORMAL = NormalDist()


class UnreadableProfile(ValueError):
    """A profile has another form; the message names the field, the value and what was expected."""


@dataclass(frozen=True)
class Numeric:
    """A numeric feature, with training rows by bin (`counts`) and without a value (`missing`).

    Attributes:
        edges: Interior edges, strictly ascending, one fewer than counts.
        low: Training minimum; -inf if unknown. Likewise the maximum, `high`.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    low: float = -math.inf
    high: float = math.inf

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.counts)

    @cached_property
    def normal_scores(self) -> tuple[float, ...]:
        """The normal score of each bin: the normal quantile of the middle of the bin.

        Source: van der Waerden, Proc. Kon. Ned. Akad. Wet. A 55 (1952), for grouped data by mid-ranks.
        """
        total = sum(self.counts)
        if not total:
            return (0.0,) * self.bins
        middles = [
            (upto - 0.5 * count) / total for upto, count in zip(accumulate(self.counts), self.counts, strict=True)
        ]
        least = 0.5 / total
        return tuple(_NORMAL.inv_cdf(min(max(middle, least), 1 - least)) for middle in middles)


@dataclass(frozen=True)
class Categorical:
    """A categorical feature, with training rows by bin (`counts`) and without a value (`missing`).

    Attributes:
        codes: The individually counted codes; the last bin is that of all others.
        rare: The codes among the others; None if unknown, and then no code is new.
    """

    codes: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    rare: frozenset[str] | None = None

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.counts)

    @cached_property
    def leading(self) -> Sequence[int]:
        """The bins of the codes, most frequent first."""
        return sorted(range(len(self.codes)), key=lambda place: (-self.counts[place], place))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Code -> bin, of every code that training saw."""
        last = len(self.codes)
        return {
            OTHER: last,
            **dict.fromkeys(self.rare or (), last),
            **{code: place for place, code in enumerate(self.codes)},
        }


Column = Numeric | Categorical


@dataclass(frozen=True)
class Profile:
    """The training data by feature, or `feature.summary` of a feature in `summaries`."""

    columns: Mapping[str, Column]
    rows: int = 0
    summaries: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    @classmethod
    def from_dict(cls, value: object) -> Profile:
        """Read the form above, ignoring unknown fields; raises UnreadableProfile if it has another form."""
        body = an_object(value, "reference")
        features = an_object(body.get("features"), "features")
        summaries = {
            name: [str(one) for one in a_list(each, f"summaries.{name}")]
            for name, each in an_object(body.get("summaries", {}), "summaries").items()
        }
        columns = {name: _column(name, item) for name, item in features.items()}
        return cls(columns, a_count(body.get("rows"), "rows"), summaries)

    def as_dict(self) -> dict[str, Any]:
        """The form above."""
        found = {"rows": self.rows, "features": {name: _written(column) for name, column in self.columns.items()}}
        return {**found, "summaries": {k: list(v) for k, v in self.summaries.items()}} if self.summaries else found


def _written(column: Column) -> dict[str, Any]:
    if isinstance(column, Numeric):
        ends = {"low": column.low, "high": column.high}
        return {
            "kind": "numeric",
            "edges": list(column.edges),
            "counts": list(column.counts),
            "missing": column.missing,
            **{name: end for name, end in ends.items() if math.isfinite(end)},
        }
    return {
        "kind": "categorical",
        "counts": dict(zip((*column.codes, OTHER), column.counts, strict=True)),
        "rare": None if column.rare is None else sorted(column.rare),
        "missing": column.missing,
    }


def _column(name: str, value: object) -> Column:
    body = an_object(value, name)
    missing = a_count(body.get("missing"), f"{name}.missing")
    kind = body.get("kind")
    if kind == "numeric":
        edges = tuple(a_number(item, f"{name}.edges") for item in a_list(body.get("edges"), f"{name}.edges"))
        if any(later <= earlier for earlier, later in pairwise(edges)):
            raise UnreadableProfile(f"{name}.edges: got {list(edges)}, expected numbers that ascend")
        counts = tuple(a_count(item, f"{name}.counts") for item in a_list(body.get("counts"), f"{name}.counts"))
        if len(counts) != len(edges) + 1:
            raise UnreadableProfile(f"{name}.counts: got {len(counts)}, expected {len(edges) + 1}, one more than edges")
        low, high = (
            a_number(body[end], f"{name}.{end}") if end in body else limit
            for end, limit in (("low", -math.inf), ("high", math.inf))
        )
        return Numeric(edges, counts, missing, low, high)
    if kind == "categorical":
        given = an_object(body.get("counts"), f"{name}.counts")
        by_code = {code: a_count(count, f"{name}.counts") for code, count in given.items()}
        other = by_code.pop(OTHER, 0)
        rare = body.get("rare")
        known = None if rare is None else frozenset(str(item) for item in a_list(rare, f"{name}.rare"))
        return Categorical(tuple(by_code), (*by_code.values(), other), missing, known)
    raise UnreadableProfile(f"{name}.kind: got {kind!r}, expected numeric or categorical")


def an_object(value: object, name: str) -> Mapping[str, Any]:
    """The value, if it is an object."""
    if not isinstance(value, Mapping):
        raise UnreadableProfile(f"{name}: got {type(value).__name__}, expected an object")
    return cast(Mapping[str, Any], value)


def a_list(value: object, name: str) -> Sequence[object]:
    """The value, if it is a list."""
    if not isinstance(value, list):
        raise UnreadableProfile(f"{name}: got {type(value).__name__}, expected a list")
    return cast(list[object], value)


def a_count(value: object, name: str) -> int:
    """The value, if it is a whole number and not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnreadableProfile(f"{name}: got {value!r}, expected a whole number, 0 or more")
    return value


def a_number(value: object, name: str) -> float:
    """The value, if it is a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise UnreadableProfile(f"{name}: got {value!r}, expected a number")
    return float(value)
