"""Have the inputs moved from the training data? Histograms over the reference's bins, and their stability index.

reference = Reference.from_dict(json.loads(text))
seen = Histogram(reference)
seen.add({"distance": 1400.0, "carrier": "UA"})
drift(reference, seen)  # {"distance": 0.04, "carrier": 0.11}
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

OTHER = "other"
_FEWEST = 5.0  # a bin in which fewer rows are expected is counted together with others
_HALF = 0.5  # added to each bin's count, so that an empty one has a logarithm


class UnreadableReference(ValueError):
    """A reference cannot be read; the message names the feature, the value and what was expected."""


@dataclass(frozen=True)
class Feature:
    """How one feature was distributed at training time.

    Attributes:
        edges: Interior edges, strictly ascending; bin i holds edges[i-1] < x <= edges[i]. None for a categorical one.
        codes: The codes of a categorical feature, one a bin; `other` holds all that are not listed. Empty for a
            numeric one.
        counts: Training rows per bin; the last bin counts missing values.
    """

    edges: tuple[float, ...] | None
    codes: tuple[str, ...]
    counts: tuple[int, ...]

    def bin(self, value: object) -> int:
        """The bin of a value; what is no number (or no code) counts as missing."""
        missing = len(self.counts) - 1
        if self.edges is None:
            code = str(value)
            if value is None:
                return missing
            return self.codes.index(code if code in self.codes else OTHER)
        # An int may be too large to be a float, which `isfinite` does not take; it still has its place among the edges.
        if not isinstance(value, (int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            return missing
        return bisect_left(self.edges, value)


@dataclass(frozen=True)
class Reference:
    """How every feature was distributed at training time.

    Attributes:
        features: By name.
        rows: How many rows the model was trained on.
    """

    features: Mapping[str, Feature]
    rows: int

    @classmethod
    def from_dict(cls, value: object) -> Reference:
        """Read the content of a package's `reference.json`.

        Raises:
            UnreadableReference: It has another form.
        """
        body = _object(value, "reference")
        features = _object(body.get("features"), "features")
        return cls({name: _feature(name, item) for name, item in features.items()}, _whole(body.get("rows"), "rows"))


class Histogram:
    """Rows counted over a reference's bins.

    Args:
        reference: Whose bins.
        counts: Counts to start from, by feature; those of another reference's form are not taken over.
        rows: How many rows `counts` hold.
    """

    def __init__(self, reference: Reference, counts: Mapping[str, Sequence[int]] | None = None, rows: int = 0) -> None:
        self._reference = reference
        bins = {name: len(feature.counts) for name, feature in reference.features.items()}
        fits = counts is not None and {name: len(item) for name, item in counts.items()} == bins
        self.rows = rows if fits else 0
        self.counts = {name: list(counts[name]) if counts and fits else [0] * size for name, size in bins.items()}

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row; a feature that it does not have is missing."""
        self.rows += 1
        for name, feature in self._reference.features.items():
            self.counts[name][feature.bin(row.get(name))] += 1


def drift(reference: Reference, seen: Histogram) -> dict[str, float]:
    """The stability index of every feature, in nats; empty when no row was seen."""
    if not seen.rows:
        return {}
    return {
        name: population_stability(*_merged(feature.counts, seen.counts[name]))
        for name, feature in reference.features.items()
        if sum(feature.counts)
    }


def population_stability(expected: Sequence[int], observed: Sequence[int]) -> float:
    """Population stability index between two binned samples.

    Args:
        expected: Counts per bin at training time, shape (bins,).
        observed: Counts per bin in the window, same bins.

    Returns:
        PSI in nats, >= 0. 0 means equal shares. Half a row is added to every bin (Jeffreys' prior), so that an empty
        bin has a logarithm; equal samples of different size so differ from 0 by next to nothing.

    Raises:
        ValueError: The bins differ, or either side is empty.

    Source: Siddiqi, Credit Risk Scorecards (2006), ch. 8.
    """
    if len(expected) != len(observed):
        raise ValueError(f"bins: got {len(observed)} observed, expected {len(expected)}")
    if sum(expected) <= 0 or sum(observed) <= 0:
        raise ValueError(
            f"counts: got {sum(expected)} expected and {sum(observed)} observed rows, expected some of both"
        )
    before, now = _shares(expected), _shares(observed)
    return sum((b - a) * math.log(b / a) for a, b in zip(before, now, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _HALF * len(counts)
    return [(count + _HALF) / total for count in counts]


def _merged(expected: Sequence[int], observed: Sequence[int]) -> tuple[list[int], list[int]]:
    """The bins in which too few rows are expected for a comparison, as one bin; the others as they are.

    By chance alone the index is about (bins - 1) / rows (Yurdakul 2018), so many rare codes would look like drift.
    """
    scale = sum(observed) / sum(expected)
    kept = [place for place, count in enumerate(expected) if count * scale >= _FEWEST]
    rare = [place for place in range(len(expected)) if place not in kept]
    before, now = [expected[place] for place in kept], [observed[place] for place in kept]
    if rare:
        before.append(sum(expected[place] for place in rare))
        now.append(sum(observed[place] for place in rare))
    return before, now


def _feature(name: str, value: object) -> Feature:
    body = _object(value, name)
    missing = _whole(body.get("missing"), f"{name}.missing")
    kind = body.get("kind")
    if kind == "numeric":
        edges = tuple(_number(edge, f"{name}.edges") for edge in _list(body.get("edges"), f"{name}.edges"))
        if any(later <= earlier for earlier, later in pairwise(edges)):
            raise UnreadableReference(f"{name}.edges: got {list(edges)}, expected numbers that ascend")
        counts = tuple(_whole(item, f"{name}.counts") for item in _list(body.get("counts"), f"{name}.counts"))
        if len(counts) != len(edges) + 1:
            raise UnreadableReference(
                f"{name}.counts: got {len(counts)}, expected {len(edges) + 1}, one more than edges"
            )
        return Feature(edges, (), (*counts, missing))
    if kind == "categorical":
        codes = {OTHER: 0, **_object(body.get("counts"), f"{name}.counts")}
        counts = tuple(_whole(item, f"{name}.counts") for item in codes.values())
        return Feature(None, tuple(codes), (*counts, missing))
    raise UnreadableReference(f"{name}.kind: got {kind!r}, expected numeric or categorical")


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnreadableReference(f"{field}: got {type(value).__name__}, expected an object")
    return cast(Mapping[str, Any], value)


def _list(value: object, field: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise UnreadableReference(f"{field}: got {type(value).__name__}, expected a list")
    return cast(list[object], value)


def _whole(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnreadableReference(f"{field}: got {value!r}, expected a whole number, 0 or more")
    return value


def _number(value: object, field: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise UnreadableReference(f"{field}: got {value!r}, expected a number")
    return float(value)
