"""Constant-size statistic of a set of rows: only counts, so the order of rows does not matter.

Each value of a feature counts as one of: a bin, `missing` (null or NaN), `absent` (the row has no such field), `wrong`
(of another type, or infinite). Numbers out of training's range, and `new` codes that training never saw, count again.
`bench.columns` fills the same statistic from columns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from modelstack.monitoring.statistics.profile import Categorical, Column, Numeric, Profile, a_count, a_list, an_object
from modelstack.monitoring.statistics.summaries import expanded

NAMED = 10  # stored names of new codes and unknown fields
_LONGEST = 60  # characters of a stored name
_LARGEST = 1.7e308  # stands for an int too large for a float
ABSENT = object()


@dataclass(frozen=True)
class Problem:
    """Rows that a window should not hold.

    Attributes:
        field: The feature, or the unknown field; empty for rows that are no objects.
        what: `vanished` (no row has the field), `no values` (all null or NaN, unlike at training), `wrong type`,
            `unknown field`, `no object`, `out of range` or `new code`.
    """

    field: str
    what: str
    rows: int


class NameCounts:
    """Counts by name, of the alphabetically first ten names only, which makes them independent of the order."""

    __slots__ = ("by_name", "total")

    def __init__(self) -> None:
        self.total = 0
        self.by_name: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        """Count a name."""
        self.total += count
        name = name[:_LONGEST]
        if name in self.by_name:
            self.by_name[name] += count
        elif len(self.by_name) < NAMED or name < max(self.by_name):
            self.by_name[name] = count
            if len(self.by_name) > NAMED:
                del self.by_name[max(self.by_name)]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"total": self.total, "by_name": dict(sorted(self.by_name.items()))}

    @classmethod
    def from_dict(cls, value: object, name: str) -> NameCounts:
        """Read `as_dict`."""
        body, made = an_object(value, name), cls()
        for key, count in an_object(body.get("by_name"), name).items():
            made.add(key, a_count(count, name))
        made.total = a_count(body.get("total"), name)
        return made


class Tally:
    """Counts of one feature."""

    __slots__ = ("absent", "bins", "missing", "wrong")
    _COUNTS: tuple[str, ...] = ("missing", "absent", "wrong")

    bins: list[int]
    missing: int
    absent: int
    wrong: int

    def __init__(self, column: Column) -> None:
        self.bins = [0] * column.bins
        self.missing = self.absent = self.wrong = 0

    @property
    def unknown(self) -> int:
        """Rows that are in none."""
        return self.missing + self.absent + self.wrong

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"bins": self.bins, **{name: getattr(self, name) for name in self._COUNTS}}

    def read(self, value: object, name: str) -> None:
        """Restore `as_dict`."""
        body = an_object(value, name)
        bins = [a_count(item, f"{name}.bins") for item in a_list(body.get("bins"), f"{name}.bins")]
        if len(bins) != len(self.bins):
            raise ValueError(f"{name}.bins: got {len(bins)}, expected {len(self.bins)} as in the profile")
        self.bins = bins
        for key in self._COUNTS:
            setattr(self, key, a_count(body.get(key), f"{name}.{key}"))


class Numbers(Tally):
    """Counts of a numeric feature; `below` and `above` are outside training's range."""

    __slots__ = ("_column", "above", "below")
    _COUNTS = (*Tally._COUNTS, "below", "above")  # noqa: SLF001 - of its base class

    def __init__(self, column: Numeric) -> None:
        super().__init__(column)
        self._column = column
        self.below = self.above = 0

    def add(self, value: object) -> None:
        """Count one value."""
        if value is None:
            self.missing += 1
            return
        if value is ABSENT:
            self.absent += 1
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong += 1
            return
        try:
            number = float(value)
        except OverflowError:
            number = _LARGEST if value > 0 else -_LARGEST
        if number - number != 0.0:
            if number != number:  # noqa: PLR0124  only NaN differs from itself
                self.missing += 1
            else:
                self.wrong += 1
            return
        column = self._column
        self.bins[bisect_left(column.edges, number)] += 1
        if number < column.low:
            self.below += 1
        elif number > column.high:
            self.above += 1


class Codes(Tally):
    """Counts of a categorical feature; `new` are the codes that training never saw."""

    __slots__ = ("_column", "new")

    def __init__(self, column: Categorical) -> None:
        super().__init__(column)
        self._column = column
        self.new = NameCounts()

    def add(self, value: object, count: int = 1) -> None:
        """Count one value, `count` times."""
        if value is None or value != value:  # noqa: PLR0124  NaN
            self.missing += count
        elif value is ABSENT:
            self.absent += count
        elif isinstance(value, (str, int, float)):
            code = str(value)
            place = self._column.places.get(code)
            if place is not None:
                self.bins[place] += count
            else:
                self.bins[-1] += count
                if self._column.rare is not None:
                    self.new.add(code, count)
        else:
            self.wrong += count

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**super().as_dict(), "new": self.new.as_dict()}

    def read(self, value: object, name: str) -> None:
        """Restore `as_dict`."""
        super().read(value, name)
        self.new = NameCounts.from_dict(an_object(value, name).get("new"), f"{name}.new")


class Statistic:
    """Counts of every feature of a profile, of rows, of items that are no objects, and of unknown fields."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.rows = self.no_objects = 0
        self.features: dict[str, Numbers | Codes] = {
            name: Numbers(column) if isinstance(column, Numeric) else Codes(column)
            for name, column in profile.columns.items()
        }
        self.fields = NameCounts()

    def add(self, row: object) -> None:
        """Count one row of any type."""
        if not isinstance(row, Mapping):
            self.no_objects += 1
            return
        values = cast(Mapping[str, Any], row)
        if self.profile.summaries:
            values = expanded(values, self.profile.summaries)
        self.rows += 1
        found = 0
        for name, tally in self.features.items():
            value = values.get(name, ABSENT)
            found += value is not ABSENT
            tally.add(value)
        if found < len(values):
            for name in values:
                if name not in self.features:
                    self.fields.add(str(name))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "rows": self.rows,
            "no_objects": self.no_objects,
            "fields": self.fields.as_dict(),
            "features": {name: tally.as_dict() for name, tally in self.features.items()},
        }

    @classmethod
    def from_dict(cls, profile: Profile, value: object) -> Statistic:
        """Read `as_dict`; raises ValueError if it has another form, or is of another profile."""
        body, made = an_object(value, "statistic"), cls(profile)
        made.rows, made.no_objects = (a_count(body.get(name), name) for name in ("rows", "no_objects"))
        made.fields = NameCounts.from_dict(body.get("fields"), "fields")
        features = an_object(body.get("features"), "features")
        if features.keys() != made.features.keys():
            raise ValueError(f"features: got {sorted(features)}, expected {sorted(made.features)} as in the profile")
        for name, tally in made.features.items():
            tally.read(features[name], name)
        return made

    def problems(self) -> list[Problem]:
        """Violations, feature by feature."""
        found = [Problem("", "no object", self.no_objects)]
        found += [Problem(name, "unknown field", count) for name, count in self.fields.by_name.items()]
        for name, tally in self.features.items():
            had_values = sum(self.profile.columns[name].counts) > 0
            if self.rows and tally.absent == self.rows:
                found.append(Problem(name, "vanished", self.rows))
            elif self.rows and had_values and tally.missing + tally.absent == self.rows:
                found.append(Problem(name, "no values", self.rows))
            found.append(Problem(name, "wrong type", tally.wrong))
            if isinstance(tally, Numbers):
                found.append(Problem(name, "out of range", tally.below + tally.above))
            else:
                found.append(Problem(name, "new code", tally.new.total))
        return [problem for problem in found if problem.rows]
