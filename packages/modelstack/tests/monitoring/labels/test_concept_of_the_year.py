from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from bench.concept import beside_losses, quiet_days, real_year
from model import data
from model.parameters import Parameters, retrained
from modelstack.monitoring.bulk import usual
from modelstack.pipeline.rows import Rows, seconds


@pytest.mark.slow
def test_the_year_fires_a_few_times_and_each_time_after_two_weeks_that_were_worse_than_the_evaluation() -> None:
    alarms = real_year()
    assert 1 <= sum(item.on for item in alarms) <= 3
    evaluation, *told = beside_losses(alarms).split("; ")
    before = [float(line.partition(": ")[2].split()[0]) for line in told if " on: " in line]
    assert min(before) > 1.2 * float(evaluation.split()[1])


@pytest.mark.slow
def test_days_of_the_year_in_random_order_do_not_fire() -> None:
    assert quiet_days(keep=1, runs=2) == (0, 2)
    assert quiet_days(keep=3, runs=2) == (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("through", ["2013-04-03", "2013-06-16", "2013-09-22", "2013-11-30", "2014-01-01"])
def test_a_retrained_version_of_the_default_model_is_judged_by_its_labels(through: str) -> None:
    window = retrained(Parameters(), date.fromisoformat(through)) or {}
    judged = Rows.of(data.evaluation(Parameters(**window)))
    assert usual(np.where(judged.label, 1.0, 0.25), 5.0, seconds(judged)) is not None, (
        "fewer than 20 days that are no short ones"
    )
