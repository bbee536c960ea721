"""Compares the training sets of two packages, by the profile that each has sealed in `reference.json`. Pure.

The scores are those of the drift monitor. Numbers are counted in the champion's bins, with the challenger's counts
spread evenly within its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from modelstack.monitoring.drift.shift import divergence, scores
from modelstack.monitoring.statistics.profile import Categorical, Column, Numeric, Profile


@dataclass(frozen=True)
class Feature:
    """One feature of both training sets.

    Attributes:
        distance: The root of the Jensen-Shannon divergence, 0 to 0.833.
        chance: Expected distance of two samples of this size, for independent rows.
        what: The largest difference in words.
        missing: Shares without a value, before and after.
        new: Codes that the champion has not seen.
    """

    name: str
    distance: float
    chance: float
    what: str
    missing: tuple[float, float]
    new: tuple[str, ...] = ()

    @property
    def moved(self) -> bool:
        """Whether the distance is more than twice that of chance."""
        return self.distance > 2 * self.chance


@dataclass(frozen=True)
class Drift:
    """Differences of two training sets, the champion's first; features by distance.

    `other` are features that are numeric in one and codes in the other.
    """

    rows: tuple[int, int]
    features: tuple[Feature, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        changed = self.added or self.removed or self.other or self.rows[0] != self.rows[1]
        return not changed and all(one.distance == 0 and not one.new for one in self.features)


def drift(champion: Profile, challenger: Profile) -> Drift:
    """Compare the challenger's training set with the champion's."""
    both = [name for name in challenger.columns if name in champion.columns]
    alike = [name for name in both if type(champion.columns[name]) is type(challenger.columns[name])]
    found = (_feature(name, champion.columns[name], challenger.columns[name]) for name in alike)
    return Drift(
        (champion.rows, challenger.rows),
        tuple(sorted(found, key=lambda one: (-one.distance, one.name))),
        tuple(name for name in challenger.columns if name not in champion.columns),
        tuple(name for name in champion.columns if name not in challenger.columns),
        tuple(name for name in both if name not in alike),
    )


def _feature(name: str, before: Column, after: Column) -> Feature:
    counts, new = _counted(before, after)
    known, missing = sum(counts), after.missing
    rows = sum(before.counts) + before.missing, known + missing
    if not all(rows):
        return Feature(name, 0.0, 0.0, "no rows", (0.0, 0.0))
    expected, observed = (*before.counts, before.missing), (*counts, missing)
    distance = math.sqrt(divergence(expected, observed))
    used = sum(1 for one, other in zip(expected, observed, strict=True) if one or other)
    chance = math.sqrt(max(used - 1, 0) / 8 * (1 / rows[0] + 1 / rows[1]))
    shares = before.missing / rows[0], missing / rows[1]
    return Feature(name, distance, chance, _in_words(before, counts, missing), shares, new)


def _counted(before: Column, after: Column) -> tuple[list[int], tuple[str, ...]]:
    """The challenger's counts in the champion's bins, and codes that the champion has not seen."""
    if isinstance(before, Numeric) and isinstance(after, Numeric):
        if before.edges == after.edges:
            return list(after.counts), ()
        upto = [0.0, *(_below(after, edge) for edge in before.edges), float(sum(after.counts))]
        return [round(high) - round(low) for low, high in pairwise(upto)], ()
    if not isinstance(before, Categorical) or not isinstance(after, Categorical):
        raise TypeError(f"got {type(before).__name__} and {type(after).__name__}, expected two of a kind")
    counts, places = [0] * before.bins, before.places
    for code, count in zip((*after.codes, "other"), after.counts, strict=True):
        counts[places.get(code, before.bins - 1)] += count
    new = () if before.rare is None else tuple(code for code in after.codes if code not in places)
    return counts, new


def _below(column: Numeric, value: float) -> float:
    """Approximate number of rows up to a value, with rows spread evenly within each bin."""
    place = bisect_left(column.edges, value)
    low = column.edges[place - 1] if place else column.low
    high = column.edges[place] if place < len(column.edges) else column.high
    whole = sum(column.counts[:place])
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return whole + (column.counts[place] if value >= high else 0)
    return whole + column.counts[place] * min(max((value - low) / (high - low), 0.0), 1.0)


def _in_words(before: Column, counts: Sequence[int], missing: int) -> str:
    """The score that differs most: the level of numbers, or the share of a code."""
    found = scores(before, counts, missing)
    usual = scores(before, before.counts, before.missing)
    if isinstance(before, Numeric):
        level = found.get("level", 0.0) - usual.get("level", 0.0)
        return f"level {level:+.2f} standard deviations"
    codes = {name: found.get(name, 0.0) - usual.get(name, 0.0) for name in usual if name.startswith("code:")}
    if not codes:
        return ""
    name = max(codes, key=lambda one: abs(codes[one]))
    return f"{name.removeprefix('code:')} {100 * codes[name]:+.1f} points"
