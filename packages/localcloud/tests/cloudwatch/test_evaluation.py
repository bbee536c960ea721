"""The decision of an alarm, as a pure function."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudwatch.evaluation import Condition, Point, evaluate

NOW = 1_764_000_003.7
END = 1_764_000_000
KEEP = "keep"
BASE = Condition("GreaterThanThreshold", 1.0, 60, 3, 3)
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def points(drawn: str, condition: Condition = BASE) -> list[Point]:
    """Data points as AWS's page draws them, the newest on the right: 0 within the threshold, X breaching, - missing."""
    marks = drawn.split()
    start = END - condition.period * len(marks)
    values = {"0": 0.0, "X": 5.0}
    return [Point(start + place * condition.period, values[mark]) for place, mark in enumerate(marks) if mark in values]


def decide(condition: Condition, drawn: str) -> str:
    verdict = evaluate(condition, points(drawn, condition), NOW)
    return verdict.state if verdict else KEEP


# "Configuring how CloudWatch alarms treat missing data", first table: 3 out of 3, evaluation range 5.
THREE_OF_THREE = [
    ("0 - X - X", ("OK", "OK", "OK", "OK")),
    ("0 - - - -", ("OK", "OK", "OK", "OK")),
    ("- - - - -", ("INSUFFICIENT_DATA", KEEP, "ALARM", "OK")),
    ("0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("- - X - -", ("ALARM", KEEP, "ALARM", "OK")),
]
# Second table: 2 out of 3.
TWO_OF_THREE = [
    ("0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 - X - -", ("OK", "OK", "ALARM", "OK")),
    ("- - - - 0", ("OK", "OK", "ALARM", "OK")),
    ("- - - X -", ("ALARM", KEEP, "ALARM", "OK")),
]
# Text of the same page, "Avoiding premature transitions to alarm state", 3 out of 3.
PREMATURE = [("- - - - X", "OK"), ("- - - X -", "OK"), ("- - - X 0", "OK"), ("- - X - 0", "OK")]


@pytest.mark.parametrize(("drawn", "states"), THREE_OF_THREE)
def test_missing_data_of_a_three_of_three_alarm_are_treated_as_aws_documents(drawn, states):
    assert tuple(decide(replace(BASE, missing=missing), drawn) for missing in TREATMENTS) == states


@pytest.mark.parametrize(("drawn", "states"), TWO_OF_THREE)
def test_missing_data_of_a_two_of_three_alarm_are_treated_as_aws_documents(drawn, states):
    condition = replace(BASE, datapoints_to_alarm=2)
    assert tuple(decide(replace(condition, missing=missing), drawn) for missing in TREATMENTS) == states


@pytest.mark.parametrize(("drawn", "state"), PREMATURE)
def test_few_and_young_breaching_points_do_not_alarm_early(drawn, state):
    assert decide(BASE, drawn) == state


@pytest.mark.parametrize(
    ("comparison", "alarms"),
    [
        ("GreaterThanThreshold", (False, False, True)),
        ("GreaterThanOrEqualToThreshold", (False, True, True)),
        ("LessThanThreshold", (True, False, False)),
        ("LessThanOrEqualToThreshold", (True, True, False)),
    ],
)
def test_each_comparison_alarms_on_its_side_of_the_threshold(comparison, alarms):
    condition = Condition(comparison, 2.0, 60, 1, 1)
    outcomes = [evaluate(condition, [Point(END - 60, value)], NOW) for value in (1.0, 2.0, 3.0)]
    assert tuple(outcome.state == "ALARM" for outcome in outcomes if outcome) == alarms


def test_a_data_point_of_the_period_that_still_runs_does_not_count():
    condition = replace(BASE, evaluation_periods=1, datapoints_to_alarm=1)
    assert evaluate(condition, [Point(END, 5.0)], NOW).state == "INSUFFICIENT_DATA"


def test_high_resolution_alarms_move_on_every_ten_seconds():
    condition = Condition("GreaterThanThreshold", 1.0, 30, 1, 1)
    assert condition.interval == 10
    assert condition.range_end(END + 29.9) == END + 20
    assert condition.range_start(END + 29.9) == END + 20 - 3 * 30


def test_five_minute_alarms_slide_by_the_minute():
    condition = Condition("GreaterThanThreshold", 1.0, 300, 1, 1)
    assert condition.interval == 60
    assert evaluate(condition, [Point(END - 300 + 60, 5.0)], END + 61.0).state == "ALARM"


def test_alarms_over_more_than_a_day_are_evaluated_hourly():
    assert Condition("GreaterThanThreshold", 1.0, 86400, 2, 2).interval == 3600


def test_the_reason_names_breaching_values_and_their_times():
    verdict = evaluate(replace(BASE, datapoints_to_alarm=2), points("0 X X"), NOW)
    assert verdict.reason == (
        "Threshold Crossed: 2 out of the last 3 datapoints [5.0 (24/11/25 15:59:00), 5.0 (24/11/25 15:58:00)] "
        "were greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )


def test_the_reason_of_a_single_data_point_is_in_the_singular():
    verdict = evaluate(replace(BASE, evaluation_periods=1, datapoints_to_alarm=1), points("0"), NOW)
    assert verdict.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (24/11/25 15:59:00)] "
        "was not greater than the threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )


@pytest.mark.parametrize(
    ("missing", "periods", "reason"),
    [
        ("missing", 3, "Insufficient Data: 3 datapoints were unknown."),
        ("missing", 1, "Insufficient Data: 1 datapoint was unknown."),
        (
            "breaching",
            3,
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as "
            "[Breaching].",
        ),
        (
            "notBreaching",
            1,
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
            "[NonBreaching].",
        ),
    ],
)
def test_the_reason_tells_of_missing_data_as_aws_does(missing, periods, reason):
    condition = replace(BASE, missing=missing, evaluation_periods=periods, datapoints_to_alarm=periods)
    assert evaluate(condition, [], NOW).reason == reason


def test_the_reason_tells_received_and_missing_data_apart():
    condition = replace(BASE, missing="breaching", datapoints_to_alarm=2)
    assert evaluate(condition, points("X"), NOW).reason == (
        "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as "
        "[Breaching]."
    )


def test_the_reason_data_have_the_form_of_aws():
    condition = Condition("GreaterThanThreshold", 1.0, 60, 2, 2, statistic="Sum", unit="Count")
    verdict = evaluate(condition, [Point(END - 60, 5.0, 7.0), Point(END - 120, 4.0, 3.0)], NOW)
    assert json.loads(verdict.data) == {
        "version": "1.0",
        "queryDate": "2025-11-24T16:00:03.700+0000",
        "startDate": "2025-11-24T15:58:00.000+0000",
        "unit": "Count",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [4.0, 5.0],
        "threshold": 1.0,
        "evaluatedDatapoints": [
            {"timestamp": "2025-11-24T15:59:00.000+0000", "sampleCount": 7.0, "value": 5.0},
            {"timestamp": "2025-11-24T15:58:00.000+0000", "sampleCount": 3.0, "value": 4.0},
        ],
    }


def test_reason_and_data_keep_their_lengths_with_a_thousand_periods():
    condition = Condition("GreaterThanThreshold", 1.0, 60, 1000, 1000)
    verdict = evaluate(condition, [Point(END - 60 * place, 1 / 3 + place) for place in range(1, 1001)], NOW)
    assert len(verdict.reason) <= 1023
    assert len(verdict.data) <= 4000
    json.loads(verdict.data)


def test_a_percentile_of_too_few_samples_keeps_the_state_when_asked_to():
    low = [Point(END - 60, 5.0, 10, significant=False)]
    condition = Condition("GreaterThanThreshold", 1.0, 60, 1, 1, ignore_low_samples=True)
    assert evaluate(condition, low, NOW) is None
    assert evaluate(replace(condition, ignore_low_samples=False), low, NOW).state == "ALARM"


conditions = st.builds(
    lambda period, needed, share, missing, comparison: Condition(
        comparison, 1.0, period, needed, max(1, round(needed * share)), missing
    ),
    st.sampled_from([10, 20, 30, 60, 300, 3600]),
    st.integers(1, 6),
    st.floats(0, 1),
    st.sampled_from(TREATMENTS),
    st.sampled_from(["GreaterThanThreshold", "LessThanOrEqualToThreshold"]),
)
marks = st.lists(st.sampled_from("0X-"), min_size=0, max_size=10).map(" ".join)


def state_of(condition: Condition, drawn: list[Point], now: float = NOW) -> str:
    verdict = evaluate(condition, drawn, now)
    return verdict.state if verdict else KEEP


@given(conditions, marks)
def test_never_alarm_without_enough_breaching_points_unless_missing_ones_make_up_for_them(condition, drawn):
    data = points(drawn, condition)
    in_range = [point for point in data if point.timestamp >= condition.range_start(NOW)]
    breaching = sum(condition.breaches(point.value) for point in in_range)
    if state_of(condition, data) == "ALARM" and breaching < condition.datapoints_to_alarm:
        premature = condition.missing == "missing" and 0 < breaching == len(in_range)
        assert condition.missing == "breaching" or premature


@given(conditions, marks, st.randoms())
def test_order_and_duplicates_of_data_points_do_not_matter(condition, drawn, random):
    data = points(drawn, condition)
    shuffled = data + data[: len(data) // 2]
    random.shuffle(shuffled)
    assert state_of(condition, shuffled) == state_of(condition, data)


@given(conditions, marks, marks)
def test_data_points_outside_of_the_range_do_not_matter(condition, drawn, other):
    data = points(drawn, condition)
    outside = [replace(point, timestamp=point.timestamp - 100 * condition.period) for point in points(other, condition)]
    future = [replace(point, timestamp=point.timestamp + 100 * condition.period) for point in points(other, condition)]
    assert state_of(condition, outside + data + future) == state_of(condition, data)


@given(conditions, st.lists(st.sampled_from("0X"), min_size=8, max_size=8).map(" ".join))
def test_without_gaps_only_the_evaluation_periods_count_and_missing_data_do_not(condition, drawn):
    data = points(drawn, condition)
    used = data[-condition.evaluation_periods :]
    breaching = sum(condition.breaches(point.value) for point in used)
    expected = "ALARM" if breaching >= condition.datapoints_to_alarm else "OK"
    assert {state_of(replace(condition, missing=missing), data) for missing in TREATMENTS} == {expected}


@given(conditions, marks)
def test_breaching_never_alarms_less_than_not_breaching(condition, drawn):
    data = points(drawn, condition)
    if state_of(replace(condition, missing="notBreaching"), data) == "ALARM":
        assert state_of(replace(condition, missing="breaching"), data) == "ALARM"


@given(conditions, marks)
def test_only_missing_leads_to_insufficient_data_and_only_with_no_data(condition, drawn):
    data = points(drawn, condition)
    in_range = [point for point in data if point.timestamp >= condition.range_start(NOW)]
    insufficient = state_of(condition, data) == "INSUFFICIENT_DATA"
    assert insufficient == (condition.missing == "missing" and not in_range)
