"""Metrics, against values known beforehand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from model import data
from model.evaluation import METRICS, calibration, details, evaluate, summary
from model.parameters import Parameters
from modelstack.pipeline.rows import Rows


def rows_of(since: date, until: date) -> Rows:
    return Rows.of(data.evaluation(Parameters(evaluate_from=since, evaluate_until=until)))


class Oracle:
    """Knows a probability for each row of a table, by the departure hour."""

    def __init__(self, probability) -> None:
        self.probability = probability

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        late = np.array([self.probability(row) for row in table], dtype=float)
        return np.column_stack([1 - late, late])


def test_a_constant_at_the_base_rate_has_the_entropy_as_its_loss():
    label = np.array([True] * 25 + [False] * 75)
    metrics = summary(label, np.full(100, 0.25))
    assert metrics["log_loss"] == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert metrics["brier"] == pytest.approx(0.25 * 0.75)
    assert metrics["auc"] == 0.5
    assert metrics["base_rate"] == 0.25
    assert metrics["rows"] == 100


def test_evaluation_reports_the_metrics_that_it_names_in_advance():
    assert summary(np.array([True, False]), np.array([0.9, 0.1])).keys() == METRICS.keys()


def test_a_perfect_order_has_area_one_and_the_opposite_zero():
    label = np.array([False, False, True, True])
    assert summary(label, np.array([0.1, 0.2, 0.8, 0.9]))["auc"] == 1
    assert summary(label, np.array([0.9, 0.8, 0.2, 0.1]))["auc"] == 0


def test_a_calibrated_forecast_has_a_small_calibration_error_and_a_shifted_one_the_shift():
    random = np.random.default_rng(1)
    truth = random.uniform(0.1, 0.6, 200_000)
    label = random.uniform(size=truth.size) < truth
    assert summary(label, truth)["calibration_error"] < 0.005
    assert summary(label, truth + 0.2)["calibration_error"] == pytest.approx(0.2, abs=0.005)


def test_with_one_label_only_there_is_no_area_rather_than_a_made_up_one():
    assert "auc" not in summary(np.array([True, True]), np.array([0.5, 0.6]))


def test_calibration_bins_are_equally_full_and_lose_no_row():
    bins = calibration(np.array([True, False] * 55), np.linspace(0, 1, 110))
    assert [bin["rows"] for bin in bins] == [11] * 10
    assert [bin["predicted"] for bin in bins] == sorted(bin["predicted"] for bin in bins)


@pytest.mark.slow
def test_importance_is_of_the_feature_that_is_looked_at():
    rows = rows_of(date(2013, 3, 1), date(2013, 3, 8))
    found = details(Oracle(lambda row: min(0.95, 0.02 + row[3] / 40)), rows)["importance"]
    assert max(found, key=lambda name: abs(found[name])) == "departure_hour"
    assert found["pressure"] == 0


def test_months_are_scored_apart():
    rows = rows_of(date(2013, 3, 30), date(2013, 4, 3))
    months = details(Oracle(lambda _: 0.2), rows)["by_month"]
    assert [month["month"] for month in months] == ["2013-03", "2013-04"]
    assert sum(month["rows"] for month in months) == len(rows)


def test_evaluation_without_late_flights_is_refused():
    rows = rows_of(date(2013, 3, 1), date(2013, 3, 3))
    with pytest.raises(ValueError, match="both late and punctual"):
        evaluate(Oracle(lambda _: 0.2), replace(rows, label=np.zeros(len(rows), bool)))
