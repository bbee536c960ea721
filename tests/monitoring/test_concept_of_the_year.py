from __future__ import annotations

from bench.concept import beside_losses, quiet_days, real_year


def test_the_year_rings_a_few_times_and_each_time_after_two_weeks_that_were_worse_than_the_evaluation() -> None:
    alarms = real_year()
    assert 1 <= sum(item.on for item in alarms) <= 3
    evaluation, *told = beside_losses(alarms).split("; ")
    before = [float(line.partition(": ")[2].split()[0]) for line in told if " on: " in line]
    assert min(before) > 1.2 * float(evaluation.split()[1])


def test_days_of_the_year_in_random_order_do_not_ring() -> None:
    assert quiet_days(keep=1, runs=2) == (0, 2)
    assert quiet_days(keep=3, runs=2) == (0, 2)
