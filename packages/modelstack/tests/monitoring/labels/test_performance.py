"""Performance from labels: against values worked out by hand, merged in any order, and with intervals that hold."""

from __future__ import annotations

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from modelstack.monitoring.labels.performance import SEGMENTS, LabelScore, Performance, segment_of
from modelstack.monitoring.labels.quality import Form, Scored
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.statistics.intervals import of_mean, of_rate, of_rate_surely

LATE = Form("classification", (False, True), "late", "p")
KINDS = Form("classification", ("cat", "dog", "cow"), "is", "shares")
MINUTES = Form("regression", value="minutes", largest_error=60)


def performance(form: Form, *pairs: tuple[dict, object], column: str = "") -> Performance:
    seen = Performance()
    for said, label in pairs:
        segments = {column: said["where"]} if column else {}
        seen.add(LabelScore.of(form, form.said(said), form.label(label), segments))
    return seen


def test_a_rate_has_wilsons_interval_and_a_mean_that_of_its_variance() -> None:
    found = of_rate(8, 10)
    assert (found.value, found.low, found.high) == (0.8, pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, 1e-4))
    assert of_rate(0, 10).low == 0.0
    assert of_rate(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    found = of_mean(12.0, 38.0, 4)  # 2, 3, 3, 4
    assert (found.value, found.high - found.value) == (3.0, pytest.approx(1.96 * (2 / 3 / 4) ** 0.5, abs=1e-3))
    assert of_mean(2.0, 4.0, 1).high == float("inf")


def test_of_a_hundred_intervals_of_a_rate_ninety_five_hold_it() -> None:
    source = Random(1)
    held = 0
    for _ in range(2000):
        found = of_rate(sum(source.random() < 0.8 for _ in range(60)), 60)
        held += found.low <= 0.8 <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def test_the_sure_interval_of_a_rate_is_where_the_divergence_is_what_is_allowed() -> None:
    found, nats = of_rate_surely(3, 10, 0.9), math.log(2 / 0.1) / 10
    for end in (found.low, found.high):
        assert 0.3 * math.log(0.3 / end) + 0.7 * math.log(0.7 / (1 - end)) == pytest.approx(nats)
    assert of_rate_surely(0, 10, 0.9).high == pytest.approx(1 - math.exp(-nats))
    assert (of_rate_surely(0, 10, 0.9).low, of_rate_surely(10, 10, 0.9).high) == (0.0, 1.0)


def test_two_classes_give_accuracy_log_loss_auc_and_calibration() -> None:
    seen = performance(
        LATE,
        ({"late": True, "p": 0.9}, True),
        ({"late": True, "p": 0.6}, False),
        ({"late": False, "p": 0.2}, False),
        ({"late": False, "p": 0.4}, True),
    ).measures(binary=True)
    assert seen["Accuracy"].value == 0.5
    assert seen["LogLoss"].value == pytest.approx((0.10536 + 0.91629 + 0.22314 + 0.91629) / 4, abs=1e-4)
    assert seen["AUC"].value == 0.75, "of the four pairs (late, punctual) three are in order"
    assert seen["CalibrationError"].value == pytest.approx((0.1 + 0.6 + 0.2 + 0.6) / 4)


def test_more_classes_are_calibrated_by_the_class_that_was_decided_for_and_have_no_log_loss_of_nonsense() -> None:
    shares = {"cat": 0.2, "dog": 0.7, "cow": 0.1}
    seen = performance(KINDS, ({"is": "dog", "shares": shares}, "dog"), ({"is": "dog", "shares": shares}, "cow"))
    assert KINDS.scored({"decision": "dog", "probability": shares}) == Scored(0.7, decided=True)
    assert seen.measures(binary=True)["CalibrationError"].value == pytest.approx(0.2)
    nonsense = performance(KINDS, ({"is": "horse", "shares": shares}, "dog"))
    assert (nonsense.scores.rows, nonsense.measures(binary=True)["Accuracy"].value) == (0, 0.0)


def test_numbers_give_their_absolute_error() -> None:
    seen = performance(MINUTES, ({"minutes": 10}, 15), ({"minutes": 30}, 15)).measures(binary=True)
    assert (list(seen), seen["AbsoluteError"].value) == (["AbsoluteError"], 10.0)


def test_segments_have_an_error_each_and_what_they_lack_is_a_segment_too() -> None:
    seen = performance(
        LATE,
        ({"late": True, "p": 0.9, "where": "JFK"}, True),
        ({"late": True, "p": 0.9, "where": "JFK"}, False),
        ({"late": True, "p": 0.9, "where": "EWR"}, True),
        column="origin",
    )
    found = seen.segments()
    assert {name: value.value for name, value in found.items()} == {"origin=EWR": 0.0, "origin=JFK": 0.5}
    assert segment_of({"origin": None, "day": 3.0, "far": True}, ["origin", "day", "far", "x"]) == {
        "origin": "missing", "day": "3.0", "far": "True", "x": "missing",
    }  # fmt: skip


outcomes = st.builds(
    lambda loss, score, decided, hit, where: LabelScore(
        {"Accuracy": float(decided == hit), "LogLoss": loss}, Scored(score, decided), hit, {"where": where}
    ),
    st.floats(0, 5), st.floats(0, 1), st.booleans(), st.booleans(), st.sampled_from([f"{n:02}" for n in range(50)]),
)  # fmt: skip


@given(st.lists(st.lists(outcomes, max_size=60), max_size=4), st.randoms(use_true_random=False))
def test_parts_merge_to_the_last_bit_whatever_the_order(parts: list[list[LabelScore]], source: Random) -> None:
    whole = Performance()
    for outcome in sorted((one for part in parts for one in part), key=lambda _: source.random()):
        whole.add(outcome)
    merged = Performance()
    for part in sorted(parts, key=lambda _: source.random()):
        one = Performance()
        for outcome in part:
            one.add(outcome)
        merged.merge(Performance.from_dict(json.loads(json.dumps(one.as_dict()))))
    assert merged.as_dict() == whole.as_dict()
    assert len(merged.segments()) <= SEGMENTS


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"scores": {"100": [1, 0, 0, 0]}, "losses": {}, "segments": {}},
        {"scores": {"1": [1, 0, 0]}, "losses": {}, "segments": {}},
        {"scores": {}, "losses": {"LogLoss": [1, 2]}, "segments": {}},
        {"scores": {}, "losses": {"LogLoss": [1, 2, -3]}, "segments": {}},
    ],
)
def test_what_is_of_another_form_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="performance"):
        Performance.from_dict(broken)


def test_memory_is_constant() -> None:
    seen, source = Performance(), Random(3)
    sizes: list[int] = []
    for count in range(1, 20_001):
        where = {"tail": f"N{source.randrange(5000)}"}
        seen.add(
            LabelScore(
                {"Accuracy": 1.0, "LogLoss": 0.1}, Scored(source.random(), decided=True), hit=True, segments=where
            )
        )
        if count in (2000, 20_000):
            sizes.append(len(json.dumps(seen.as_dict())))
    assert sizes[1] < 1.3 * sizes[0], "numbers have a digit more, and there are no more of them"


def drawn(source: Random, rows: int) -> tuple[list[float], list[bool]]:
    scores = [source.betavariate(2, 4) for _ in range(rows)]
    return scores, [source.random() < score for score in scores]


@pytest.mark.slow
def test_auc_of_the_histogram_is_within_its_stated_bound_and_the_interval_holds_the_true_one() -> None:
    source = Random(5)
    truth = roc_auc_score(*reversed(drawn(source, 200_000)))
    held = 0
    for _ in range(200):
        scores, hits = drawn(source, 300)
        seen = Scores()
        for score, hit in zip(scores, hits, strict=True):
            seen.add(score, decided=score >= 0.5, hit=hit)
        found = seen.auc()
        assert found
        positives, others = sum(hits), len(hits) - sum(hits)
        tied = sum(hit * (rows - hit) for _, rows, _, hit, _ in seen.bins()) / positives / others
        assert abs(found.value - roc_auc_score(hits, scores)) <= tied / 2
        held += found.low <= truth <= found.high
    assert held >= 190, "at least 95 of 100"


@pytest.mark.slow
def test_calibration_error_is_told_from_chance_and_from_a_model_that_is_not_calibrated() -> None:
    source = Random(7)
    from_chance, from_wrong = 0, 0
    for _ in range(200):
        scores, hits = drawn(source, 1000)
        calibrated, wrong = Scores(), Scores()
        for score, hit in zip(scores, hits, strict=True):
            calibrated.add(score, decided=True, hit=hit)
            wrong.add(min(1.0, score + 0.2), decided=True, hit=hit)
        found, off = calibrated.calibration_error(), wrong.calibration_error()
        assert found and off and found.value > 0 and off.low <= 0.2 <= off.high
        from_chance += found.low > 0
        from_wrong += off.low > 0
    assert (from_chance <= 10, from_wrong) == (True, 200)
    assert Scores().calibration_error() is None
    assert Scores().auc() is None
