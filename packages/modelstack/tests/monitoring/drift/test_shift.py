from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.columns import statistic
from modelstack.monitoring.bulk import DAY, sealed
from modelstack.monitoring.drift.shift import (
    BlockResult,
    DriftDetector,
    DriftMonitor,
    Null,
    Promise,
    divergence,
    scores,
)
from modelstack.monitoring.drift.shift import moved as named
from modelstack.monitoring.statistics.blocks import Cut, Cutter
from modelstack.monitoring.statistics.profile import Numeric, Profile, UnreadableProfile
from modelstack.monitoring.statistics.statistic import Problem

PROMISE = Promise(0.05, 365)
CARRIERS = np.array(["UA", "B6", "EV", "DL"], dtype=object)


def days(number: int, seed: int, rows: int = 120) -> list[dict[str, Any]]:
    """Days whose rows share a wind; wind, distance, carrier."""
    source = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for _ in range(number):
        wind = source.normal(10, 3) + source.normal(0, 2, rows)
        wind[source.random(rows) < 0.05] = np.nan
        carrier = source.choice(CARRIERS, rows, p=[0.4, 0.3, 0.2, 0.1])
        found.append({"wind": wind, "distance": source.gamma(2, 500, rows), "carrier": carrier})
    return found


def sealed_on(training: list[dict[str, Any]]) -> tuple[Profile, Null]:
    columns = {name: np.concatenate([day[name] for day in training]) for name in training[0]}
    rows = len(training[0]["wind"])
    return sealed(columns, np.repeat(np.arange(len(training)) * DAY, rows))


PROFILE, NULL = sealed_on(days(60, 1))


def judged(later: list[dict[str, Any]], detector: DriftDetector | None = None) -> list[BlockResult]:
    used = detector or DriftDetector(PROFILE, NULL, PROMISE)
    return [used.take(statistic(PROFILE, day)) for day in later]


def test_the_divergence_is_that_of_the_formula() -> None:
    q = [0.25, 0.25, 0.5]
    middle = [0.375, 0.375, 0.25]
    by_hand = 0.5 * (math.log(0.5 / 0.375) + sum(b * math.log(b / m) for b, m in zip(q, middle, strict=True)))
    assert divergence([5, 5, 0], [1, 1, 2]) == pytest.approx(by_hand)
    assert divergence([3, 0], [0, 7]) == pytest.approx(math.log(2))


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=20))
def test_the_divergence_is_symmetric_bounded_and_zero_for_equal_shares(bins: list[tuple[int, int]]) -> None:
    a, b = [one for one, _ in bins], [other for _, other in bins]
    if sum(a) and sum(b):
        assert 0 <= divergence(a, b) <= math.log(2)
        assert divergence(a, b) == pytest.approx(divergence(b, a), abs=1e-12)
        assert divergence(a, [7 * count for count in a]) == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_years_of_days_like_trainings_fire_no_more_often_than_stated() -> None:
    runs, alpha = 20, 0.3
    fired = 0
    for seed in range(runs):
        every = days(60 + 120, 100 + seed, rows=40)
        profile, null = sealed_on(every[:60])
        detector = DriftDetector(profile, null, Promise(alpha, 120))
        fired += any(detector.take(statistic(profile, day)).alarm for day in every[60:])
    assert fired <= alpha * runs


@pytest.mark.parametrize("feature", ["distance", "carrier", "wind"])
def test_what_has_moved_is_named_within_days_and_forgotten_when_it_is_back(feature: str) -> None:
    quiet, after = days(20, 3), days(40, 4)
    moved = days(20, 5)
    for day in moved:
        if feature == "distance":
            day[feature] = day[feature] + 0.5 * 707
        elif feature == "carrier":
            day[feature] = np.where(day[feature] == "UA", "DL", np.where(day[feature] == "DL", "UA", day[feature]))
        else:
            day[feature] = np.where(np.arange(120) % 3 == 0, np.nan, day[feature])
    detector = DriftDetector(PROFILE, NULL, PROMISE)
    assert not any(finding.alarm for finding in judged(quiet, detector))
    found = judged(moved, detector)
    first = next(place for place, finding in enumerate(found) if finding.alarm)
    assert first < 8
    assert all(finding.alarm and finding.drifted == [feature] for finding in found[first:])
    assert {item for score in detector.as_dict()["features"][feature].values() for item in score["since"]} == set()
    assert named({"detector": detector.as_dict()}) == [feature]
    assert named({"detector": DriftDetector(PROFILE, NULL, PROMISE).as_dict()})[1:] == named(None) == []
    ended = judged(after, detector)
    back = next(place for place, finding in enumerate(ended) if not finding.alarm)
    assert back < 25
    assert max(finding.evidence for finding in ended[back + 1 :]) < 0.5, "it starts anew"


def test_a_drift_that_stays_does_not_become_usual() -> None:
    moved = days(150, 5)
    for day in moved:
        day["distance"] = day["distance"] + 0.5 * 707
    assert all(finding.alarm for finding in judged(moved)[10:])


def test_the_evidence_of_the_whole_is_that_of_its_features_and_both_fire_at_one() -> None:
    finding = BlockResult(10, 1.25, {"a": 0.25, "b": 1.0}, {})
    assert (finding.alarm, finding.drifted) == (True, ["b"])
    found = judged(days(3, 9))[-1]
    assert found.evidence == pytest.approx(sum(found.by_feature.values()))
    assert found.by_feature.keys() == found.distance.keys() == PROFILE.columns.keys()


def test_all_features_weigh_the_same() -> None:
    assert NULL.weights == pytest.approx(dict.fromkeys(PROFILE.columns, 1 / 3))


def test_a_state_goes_on_elsewhere_through_json() -> None:
    def rows(number: int, seed: int) -> list[tuple[dict[str, Any], float]]:
        return [
            ({name: day[name][place] for name in day}, (100 + count) * DAY + place)
            for count, day in enumerate(days(number, seed))
            for place in range(120)
        ]

    one = DriftMonitor(PROFILE, NULL, PROMISE)
    null = Null.from_dict(json.loads(json.dumps(NULL.as_dict(), allow_nan=False)))
    assert null == NULL
    state: Any = None
    told: list[tuple[BlockResult, ...]] = []
    for place, (row, at) in enumerate(rows(6, 11)):
        told.append(tuple(one.add(row, at)))
        if place % 50 == 0:
            other = DriftMonitor(PROFILE, null, PROMISE, state)
            state = None
        assert tuple(other.add(row, at)) == told[-1]
        if place % 50 == 49:
            state = json.loads(json.dumps(other.as_dict(), allow_nan=False))
            assert state == json.loads(json.dumps(one.as_dict()))
    assert [len(item) for item in told].count(1) == 5, "the sixth day is still open"


def test_a_block_of_training_is_held_against_the_rest_of_it() -> None:
    column = Numeric((1.0,), (10, 10), 0)
    assert scores(column, [10, 0], 0, part=True)["shape"] == pytest.approx(math.sqrt(math.log(2)))
    assert scores(column, [10, 0], 0)["shape"] < 0.6
    assert "shape" not in scores(column, [10, 10], 0, part=True)
    alone = np.repeat(np.arange(20.0), 30)  # each day has a value of its own
    _, null = sealed({"x": alone}, alone * DAY)
    assert null.scores["x"]["shape"].usual == pytest.approx(math.sqrt(math.log(2)))


def test_a_window_with_one_row_is_not_judged_and_goes_on() -> None:
    cut = Cutter(PROFILE, Cut(DAY, 50))
    assert cut.add({"wind": 1.0}, 10.0) is None
    assert cut.add({"wind": 1.0}, DAY + 10.0) is None
    for place in range(60):
        assert cut.add({}, DAY + 20.0 + place) is None
    assert cut.add({}, 5.0) is None, "late"
    ended = cut.add({}, 2 * DAY)
    assert (ended.rows, cut.seen.rows) == (63, 1)
    empty = statistic(PROFILE, {"wind": np.array([3.0])})
    assert empty.problems() == [Problem("distance", "vanished", 1), Problem("carrier", "vanished", 1)]


def test_blocks_without_a_span_have_so_many_rows() -> None:
    cut = Cutter(PROFILE, Cut(0, 3))
    ended = [cut.add({}, 0.0) for _ in range(7)]
    assert [item.rows if item else 0 for item in ended] == [0, 0, 3, 0, 0, 3, 0]


def test_a_feature_that_vanishes_or_is_all_null_is_a_problem_at_once_and_drift_soon() -> None:
    for value, what in ((None, "vanished"), (np.full(120, np.nan), "no values")):
        later = days(10, 6)
        for day in later:
            del day["wind"]
            if value is not None:
                day["wind"] = value
        found = judged(later)
        assert Problem("wind", what, 120) in statistic(PROFILE, later[0]).problems()
        assert found[7].drifted == ["wind"]
        assert "wind" in found[0].distance


def test_with_too_few_blocks_nothing_is_judged_and_nothing_breaks() -> None:
    profile, null = sealed_on(days(19, 1))
    assert (null.scores, null.weights) == ({}, {})
    finding = DriftDetector(profile, null, PROMISE).take(statistic(profile, days(1, 2)[0]))
    assert (finding.evidence, finding.alarm, len(finding.distance)) == (0, False, 3)


def test_short_days_of_training_are_no_blocks() -> None:
    training = days(60, 1)
    training[7] = {name: values[:5] for name, values in training[7].items()}
    columns = {name: np.concatenate([day[name] for day in training]) for name in training[0]}
    times = np.repeat(np.arange(60) * DAY, [len(day["wind"]) for day in training])
    _, null = sealed(columns, times)
    assert (null.cut, null.scores["wind"]["shape"].blocks) == (Cut(DAY, 120), 59)


def test_rows_without_times_are_judged_in_small_blocks() -> None:
    source = np.random.default_rng(1)
    columns = {"distance": source.gamma(2, 500, 20_000)}
    profile, null = sealed(columns)
    assert null.cut == Cut(0, 25)
    monitor = DriftMonitor(profile, null, Promise(0.05, 1000))
    told = [found for x in source.gamma(2, 500, 2000) for found in monitor.add({"distance": float(x)}, 0.0)]
    assert (len(told), any(found.alarm for found in told)) == (80, False)
    shifted = source.gamma(2, 500, 500) + 0.5 * 707
    told = [found for x in shifted for found in monitor.add({"distance": float(x)}, 0.0)]
    assert told[7].alarm, "half a deviation, within 200 rows"


def test_wrong_promises_and_nulls_are_refused() -> None:
    for alpha, horizon in ((0, 365), (1, 365), (0.05, 0)):
        with pytest.raises(ValueError, match="expected 0 to 1, and 1 or more blocks"):
            Promise(alpha, horizon)
    body = NULL.as_dict()
    with pytest.raises(UnreadableProfile, match=r"null\.weights"):
        Null.from_dict({**body, "weights": {**body["weights"], "wind": 2.0}})
    with pytest.raises(UnreadableProfile, match="got span -1"):
        Null.from_dict({**body, "cut": {"span": -1, "rows": 3}})
    with pytest.raises(ValueError, match="times: got 1, expected 2"):
        sealed({"x": np.zeros(2)}, np.zeros(1))
