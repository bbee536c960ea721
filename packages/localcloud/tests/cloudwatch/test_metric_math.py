"""Metric math expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudwatch.expressions import ExpressionError, parse
from localcloud.cloudwatch.metric_math import evaluate
from localcloud.cloudwatch.timeseries import Scope, Series

GRID = range(0, 300, 60)


def series(*values, name="m") -> Series:
    points = {moment: float(value) for moment, value in zip(GRID, values, strict=False) if value is not None}
    return Series(points, 60, name, name, is_metric=True)


def value_of(text, **results):
    value = evaluate(parse(text), Scope(GRID, results))
    if isinstance(value, Series):
        return [value.values.get(moment) for moment in GRID]
    return value if isinstance(value, float) else [[one.values.get(moment) for moment in GRID] for one in value]


M1 = series(10, 20, None, 40, 50, name="m1")
M2 = series(1, None, 3, 0, 5, name="m2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("2 ^ -1", 0.5),
        ("8 / 4 / 2", 1.0),
        ("1.5e2 - .5", 149.5),
        ("1 < 2 && 2 < 1 || 1", 1.0),
        ("1 == 1 AND 0 OR 0", 0.0),
        ("m1 + m2", [11, 20, 3, 40, 55]),
        ("m1 - 1", [9, 19, None, 39, 49]),
        ("m1 / m2", [10, None, 0, None, 10]),
        ("100 / m2", [100, None, 100 / 3, None, 20]),
        ("m1 > 15", [0, 1, None, 1, 1]),
        ("m1 > 15 AND m2 > 0", [0, 0, 1 - 1, 0, 1]),
        ("-m1", [-10, -20, None, -40, -50]),
        ("SUM([m1, m2])", [11, 20, 3, 40, 55]),
        ("AVG([m1, m2])", [5.5, 10, 1.5, 20, 27.5]),
        ("MAX(METRICS())", [10, 20, 3, 40, 50]),
        ("MIN([m1, m2])", [1, 20, 3, 0, 5]),
        ("SUM(m1)", 120.0),
        ("AVG(m2)", 2.25),
        ("MAX(m1)", 50.0),
        ("m1 - MIN(m1)", [0, 10, None, 30, 40]),
        ("ABS(m1 - 45)", [35, 25, None, 5, 5]),
        ("CEIL(m2 / 2)", [1, None, 2, 0, 3]),
        ("FLOOR(m2 / 2)", [0, None, 1, 0, 2]),
        ("LOG10(m1)", [1, pytest.approx(1.30103), None, pytest.approx(1.60206), pytest.approx(1.69897)]),
        ("LOG(m2)", [0, None, pytest.approx(1.098612), None, pytest.approx(1.609438)]),
        ("FILL(m1, 0)", [10, 20, 0, 40, 50]),
        ("FILL(m1, REPEAT)", [10, 20, 20, 40, 50]),
        ("FILL(m1, LINEAR)", [10, 20, 30, 40, 50]),
        ("FILL(m1, m2)", [10, 20, 3, 40, 50]),
        ("FILL(m1, MIN(m1))", [10, 20, 10, 40, 50]),
        ("FILL(METRICS(), 0)", [[10, 20, 0, 40, 50], [1, 0, 3, 0, 5]]),
        ("RATE(m1)", [None, 10 / 60, None, 20 / 120, 10 / 60]),
        ("DIFF(m1)", [None, 10, None, 20, 10]),
        ("PERIOD(m1)", 60.0),
        ("EPOCH(m1)", [0, 60, 120, 180, 240]),
        ("IF(EPOCH(m1) >= 120, m1)", [None, None, 0, 40, 50]),
        ("IF(m1 >= 0 AND EPOCH(m1) >= 120, m1)", [None, None, None, 40, 50]),
        ("m1 / PERIOD(m1)", [10 / 60, 20 / 60, None, 40 / 60, 50 / 60]),
        ('METRICS("m2")', [[1, None, 3, 0, 5]]),
        ("IF(m1 > 15, 1, 0)", [0, 1, None, 1, 1]),
        ("IF(m1 < 45, m1)", [10, 20, None, 40, None]),
        ("IF(1, m1, m2)", [10, 20, None, 40, 50]),
        ("IF(0, m1, m2)", [1, None, 3, 0, 5]),
        ("IF(0, m1)", [None] * 5),
    ],
)
def test_expressions_come_to_what_aws_documents(text, expected):
    assert value_of(text, m1=M1, m2=M2) == expected


def test_if_follows_the_tables_of_the_user_guide():
    metrics = {
        "metric1": series(1, 1, 0, 0, None),
        "metric2": series(30, None, 0, 0, 30),
        "metric3": series(0, 0, 20, None, 20),
    }
    assert value_of("IF(metric1, metric2, metric3)", **metrics) == [30, 0, 20, None, None]
    assert value_of("IF(metric1, 5, metric3)", **metrics) == [5, 5, 20, None, None]
    assert value_of("IF(metric1, metric2, 5)", **metrics) == [30, 0, 5, 5, None]


def test_comparisons_treat_a_value_that_one_side_lacks_as_zero():
    metrics = {"metric1": series(30, 20, 0, 0), "metric2": series(20, None, 20, None)}
    assert value_of("metric1 < metric2", **metrics)[:4] == [0, 0, 1, 0]
    assert value_of("metric1 >= 30", **metrics)[:4] == [1, 0, 0, 0]
    assert value_of("metric1 > 15 AND metric2 > 15", **metrics)[:4] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m1 +", "ends where a value was expected"),
        ("m1 m2", "expected an operator or the end at 3, found 'm2'"),
        ("(m1", r"ends where '\)' was expected"),
        ("m1 $ 2", "unexpected '\\$' at 2"),
        ("", "ends where a value was expected"),
        ("((" * 40 + "1" + "))" * 40, "nested more than 50 deep"),
        ("SELECT AVG(x) FROM y", "Metrics Insights"),
        ("NOPE(m1)", "the local CloudWatch has no function 'NOPE'; it has: ABS, "),
        ("sum(m1)", "has no function 'sum'"),
        ("ANOMALY_DETECTION_BAND(m1)", "has no function 'ANOMALY_DETECTION_BAND'"),
        ("SEARCH('x', 'Sum')", "an alarm cannot use it"),
        ("m9 + 1", "there is no query with the id 'm9'; ids here: m1, m2"),
        ("FILL(m1)", "FILL takes 2 arguments, not 1"),
        ("IF(m1)", "IF takes 2 to 3 arguments, not 1"),
        ("ABS(3)", "ABS: this function needs time series, not the scalar 3"),
        ("1 / 0", "is not a number"),
        ("PERIOD(m1 + 1)", "PERIOD: the argument must be a metric"),
        ("[m1] + [m2]", "cannot take arrays of time series on both sides"),
        ("'text'", "only allowed inside METRICS"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(text, message):
    with pytest.raises(ExpressionError, match=message):
        value_of(text, m1=M1, m2=M2)


numbers = st.integers(-5, 5)


@given(
    st.recursive(
        numbers.map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
            lambda three: f"({three[0]} {three[1]} {three[2]})"
        ),
    )
)
def test_scalar_arithmetic_agrees_with_python(text):
    assert value_of(text) == float(eval(text))


@given(st.text(alphabet="m12+-*/^()[],<>=&|. ABSUMIF\"'", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        value_of(text, m1=M1, m2=M2)
    except ExpressionError as error:
        assert str(error)
