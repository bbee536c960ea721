"""Drift detection on blocks of rows, with a stated rate of false alarms over a year.

    monitor = DriftMonitor(profile, null, Promise(alpha=0.05, horizon=365))
    findings = [finding for row, at in rows for finding in monitor.add(row, at)]   # one per completed block

Each block (a day, see `modelstack.monitoring.statistics.blocks`) gives a few scores of each feature:

- `level`, numeric: the mean normal score of the known values' bins (van der Waerden), up or down;
- `shape`: the square root of the Jensen-Shannon divergence between block and training, with missing values as a bin;
- `code:UA` and so on: the shares of the eight most frequent codes of a categorical feature among its known values;
- `unknown`: the share of rows without a value. New codes and numbers out of range are reported separately, as two
  months of training cannot estimate how often a block meets its first flight to a summer resort.

The scores of training's own blocks, each against the rest of training, are sealed into the package;
`modelstack.monitoring.statistics.conformal` describes the test. The evidence of a feature is the mean wealth of its
bets over `horizon / alpha`, that of the whole the weighted sum over features. An alarm is at 1.

**Guarantee**: while blocks are like training's (in any order, after removing what follows from the previous day), the
probability of any alarm within `horizon` blocks is at most alpha, however features depend on each other. False alarms
are at least `horizon / alpha` blocks apart on average. A feature that has fired is compared with training only, until
its evidence falls below 1; then it restarts.

Sources: Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991); its root is a
metric: Endres and Schindelin, IEEE Trans. Inf. Theory 49 (2003).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.published import MISSING, NEW_CODES, OUT_OF_RANGE, SCHEMA
from modelstack.monitoring.statistics.blocks import Cut, Cutter
from modelstack.monitoring.statistics.conformal import FEWEST, Calibration, Detector
from modelstack.monitoring.statistics.profile import Column, Numeric, Profile, UnreadableProfile, a_count, an_object
from modelstack.monitoring.statistics.statistic import Numbers, Statistic, Tally

Unusual = Counter[tuple[str, str | None]]
YEAR = 365.25 * 86_400
_CODE = "code:"
CODES = 8
_MOST = 2.0  # maximum evidence of a single bet, so that the alarm ends a few blocks after the drift
_WEIGHTS = {"level": 2.0, "shape": 1.0, "unknown": 1.0}  # codes share the weight of a level


def scores(column: Column, bins: Sequence[int], unknown: int, *, part: bool = False) -> dict[str, float]:
    """The scores of one feature in one block; those that cannot be computed are left out.

    Args:
        column: The feature at training.
        bins: Rows by bin, shape (column.bins,).
        unknown: Rows in no bin.
        part: Whether these rows are a part of training, to be compared with the rest of it.
    """
    known = sum(bins)
    if not known + unknown:
        return {}
    expected, missing = column.counts, column.missing
    if part:
        expected = [max(all_of_it - here, 0) for all_of_it, here in zip(expected, bins, strict=True)]
        missing = max(missing - unknown, 0)
    found = {"unknown": unknown / (known + unknown)}
    if sum(expected) + missing:
        found["shape"] = math.sqrt(divergence((*expected, missing), (*bins, unknown)))
    if not known:
        return found
    if isinstance(column, Numeric):
        found["level"] = sum(count * at for count, at in zip(bins, column.normal_scores, strict=True) if count) / known
    else:
        found.update((f"{_CODE}{column.codes[place]}", bins[place] / known) for place in column.leading[:CODES])
    return found


def _parts(names: Collection[str]) -> dict[str, float]:
    """Score -> its share of a feature's evidence; they sum up to 1."""
    kinds = Counter(map(_kind, names))
    total = sum(_WEIGHTS[kind] for kind in kinds)
    return {name: _WEIGHTS[_kind(name)] / kinds[_kind(name)] / total for name in names}


def _kind(score: str) -> str:
    return "level" if score.startswith(_CODE) else score


def divergence(expected: Sequence[int], observed: Sequence[int]) -> float:
    """Jensen-Shannon divergence of two binned samples, each with at least one row, in nats: 0 (equal shares) to log 2.

    Source: Lin 1991.
    """
    before, now = 1 / sum(expected), 1 / sum(observed)
    total = 0.0
    for a, b in zip(expected, observed, strict=True):
        p, q = a * before, b * now
        if p:
            total += p * math.log(2 * p / (p + q))
        if q:
            total += q * math.log(2 * q / (p + q))
    return min(max(0.5 * total, 0.0), math.log(2))


def unusual(seen: Statistic) -> Unusual:
    """Count, by metric and feature, values that training never had, or that are missing although training had them.

    The feature None is the sum over all features. These are facts, not evidence of drift.
    """
    found: Unusual = Counter({(SCHEMA, None): seen.no_objects + seen.fields.total})
    for name, tally in seen.features.items():
        always_there = seen.profile.columns[name].missing == 0
        here = {MISSING: tally.missing + tally.absent, SCHEMA: tally.wrong + (tally.absent if always_there else 0)}
        if isinstance(tally, Numbers):
            here[OUT_OF_RANGE] = tally.below + tally.above
        else:
            here[NEW_CODES] = tally.new.total
        for metric, count in here.items():
            found[metric, name] += count
            found[metric, None] += count
    return +found


@dataclass(frozen=True)
class Null:
    """How blocks differ from one another when nothing has changed; sealed at training.

    Attributes:
        scores: Feature -> score -> training's. Features that are not in it are not judged.
        weights: Feature -> its weight in the whole; they sum up to 1.
    """

    cut: Cut
    scores: Mapping[str, Mapping[str, Calibration]]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, blocks: Mapping[str, Sequence[Mapping[str, float]]], cut: Cut) -> Null:
        """Calibrate on the `scores` of training's blocks by feature; leaves out features with fewer than 20."""
        found: dict[str, dict[str, Calibration]] = {}
        for feature, each in blocks.items():
            names = dict.fromkeys(name for one in each for name in one)
            by_score = {name: [one[name] for one in each if name in one] for name in names}
            found[feature] = {
                name: Calibration.of(values, two_sided=_kind(name) == "level")
                for name, values in by_score.items()
                if len(values) >= FEWEST
            }
        found = {feature: each for feature, each in found.items() if each}
        return cls(cut, found, {feature: 1 / len(found) for feature in found})

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "cut": self.cut.as_dict(),
            "scores": {
                feature: {name: calibration.as_dict() for name, calibration in each.items()}
                for feature, each in self.scores.items()
            },
            "weights": dict(self.weights),
        }

    @classmethod
    def from_dict(cls, value: object) -> Null:
        """Read `as_dict`; raises UnreadableProfile if it has another form."""
        body = an_object(value, "null")
        scores_of = {
            feature: {
                name: Calibration.from_dict(item, f"{feature}.{name}")
                for name, item in an_object(each, feature).items()
            }
            for feature, each in an_object(body.get("scores"), "null.scores").items()
        }
        weights = {name: float(weight) for name, weight in an_object(body.get("weights"), "null.weights").items()}
        if (
            weights.keys() != scores_of.keys()
            or sum(weights.values()) > 1 + 1e-9
            or min(weights.values(), default=0) < 0
        ):
            raise UnreadableProfile("null.weights: expected one a feature, 0 or more, that sum up to 1")
        return cls(Cut.from_dict(body.get("cut"), "null.cut"), scores_of, weights)


@dataclass(frozen=True)
class Promise:
    """The tolerated rate of false alarms: probability `alpha` (above 0, below 1) within `horizon` blocks."""

    alpha: float
    horizon: float

    def __post_init__(self) -> None:
        """Check both."""
        if not (0 < self.alpha < 1 and self.horizon >= 1):
            raise ValueError(
                f"got alpha {self.alpha} and horizon {self.horizon}, expected 0 to 1, and 1 or more blocks"
            )

    @property
    def bound(self) -> float:
        """The wealth that is an alarm."""
        return self.horizon / self.alpha


@dataclass(frozen=True)
class BlockResult:
    """The result of one block. Evidence of 1 or more is an alarm, of the whole or of one feature.

    Attributes:
        by_feature: Each feature's share of the evidence.
        distance: Feature -> root of the Jensen-Shannon divergence from training, 0 to 0.833: the size of the change.
        unusual: Violations by metric and feature.
    """

    rows: int
    evidence: float
    by_feature: Mapping[str, float]
    distance: Mapping[str, float]
    unusual: Unusual = field(default_factory=Unusual)

    @property
    def alarm(self) -> bool:
        """Whether the rows have drifted."""
        return self.evidence >= 1

    @property
    def drifted(self) -> list[str]:
        """The features that have drifted, strongest evidence first."""
        return sorted((name for name, item in self.by_feature.items() if item >= 1), key=lambda n: -self.by_feature[n])


class DriftDetector:
    """Judges blocks, and counts them."""

    def __init__(self, profile: Profile, null: Null, promise: Promise) -> None:
        self._profile = profile
        self._detectors = {
            feature: {name: Detector(calibration) for name, calibration in each.items()}
            for feature, each in null.scores.items()
            if feature in profile.columns
        }
        # The evidence in one unit of a score's wealth.
        self._shares = {
            feature: {name: null.weights[feature] * part / promise.bound for name, part in _parts(each).items()}
            for feature, each in self._detectors.items()
        }
        self._drifted: set[str] = set()
        self.blocks = 0

    @property
    def judges(self) -> bool:
        """Whether training had enough blocks for any feature; without them there is never any evidence."""
        return bool(self._detectors)

    @property
    def by_feature(self) -> dict[str, float]:
        """Feature -> its share of the evidence so far."""
        return {feature: self._evidence(feature) for feature in self._detectors}

    def take(self, block: Statistic) -> BlockResult:
        """Judge one block, which must have at least one row."""
        self.blocks += 1
        distance: dict[str, float] = {}
        by_feature: dict[str, float] = {}
        for feature, column in self._profile.columns.items():
            tally: Tally = block.features[feature]
            found = scores(column, tally.bins, tally.unknown)
            if "shape" in found:
                distance[feature] = found["shape"]
            if feature in self._detectors:
                by_feature[feature] = self._judged(feature, found)
        return BlockResult(block.rows, sum(by_feature.values()), by_feature, distance, unusual(block))

    def _judged(self, feature: str, found: Mapping[str, float]) -> float:
        detectors, shares, drifted = self._detectors[feature], self._shares[feature], feature in self._drifted
        for name, detector in detectors.items():
            if name in found:
                most = _MOST * len(detector.wealth) / shares[name]
                detector.take(found[name], most=most, learn=not drifted)
        evidence = self._evidence(feature)
        if evidence >= 1 and not drifted:
            self._drifted.add(feature)
            for detector in detectors.values():
                detector.forget()
        elif evidence < 1 and drifted:
            self._drifted.discard(feature)
            for detector in detectors.values():
                detector.restart()
        return evidence

    def _evidence(self, feature: str) -> float:
        shares = self._shares[feature]
        return sum(shares[name] * detector.mean_wealth for name, detector in self._detectors[feature].items())

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "blocks": self.blocks,
            "drifted": sorted(self._drifted),
            "evidence": self.by_feature,  # for people; `read` does not need it
            "features": {
                feature: {name: detector.as_dict() for name, detector in each.items()}
                for feature, each in self._detectors.items()
            },
        }

    def read(self, value: object) -> None:
        """Restore `as_dict`; raises ValueError if it has another form, or is of another null."""
        body = an_object(value, "detector")
        features = an_object(body.get("features"), "detector.features")
        for feature, each in self._detectors.items():
            given = an_object(features.get(feature), f"detector.{feature}")
            for name, detector in each.items():
                detector.read(given.get(name), f"detector.{feature}.{name}")
        self.blocks = a_count(body.get("blocks"), "detector.blocks")
        self._drifted = {name for name in body.get("drifted") or () if name in self._detectors}


def moved(state: Mapping[str, Any] | None) -> list[str]:
    """The features that have drifted by `as_dict` of a monitor, strongest evidence first; or else the strongest one."""
    evidence: Mapping[str, float] = (state or {}).get("detector", {}).get("evidence", {})
    ranked = sorted(evidence, key=lambda name: -evidence[name])
    return [name for name in ranked if evidence[name] >= 1] or ranked[:1]


def unjudged(state: Mapping[str, Any] | None) -> str:
    """Why drift is not judged, by `as_dict` of a monitor; empty if it is, or without a state."""
    detector: Mapping[str, Any] | None = (state or {}).get("detector")
    if detector is None:
        return ""
    if not detector.get("features"):
        return (
            f"training has fewer than {FEWEST} days of rows, or too few rows without times, so no alarm on it can fire"
        )
    return "" if detector.get("blocks") else "no day of requests is complete"


class DriftMonitor:
    """Cuts rows into blocks and judges each; `state` is `as_dict` of an earlier monitor to continue from."""

    def __init__(self, profile: Profile, null: Null, promise: Promise, state: object = None) -> None:
        self.cutter = Cutter(profile, null.cut)
        self.detector = DriftDetector(profile, null, promise)
        if state is not None:
            body = an_object(state, "state")
            self.cutter.read(body.get("open"))
            self.detector.read(body.get("detector"))

    def add(self, row: object, at: float, *, told: bool = False) -> Iterator[BlockResult]:
        """Count a row, see `Cutter.add`; yields the finding of the block that ended, if one did."""
        block = self.cutter.add(row, at, told=told)
        if block is not None:
            yield self.detector.take(block)

    def due(self, now: float) -> Iterator[BlockResult]:
        """The finding of the open block if its time is over, see `Cutter.due`."""
        block = self.cutter.due(now)
        if block is not None:
            yield self.detector.take(block)

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {"open": self.cutter.as_dict(), "detector": self.detector.as_dict()}
