from __future__ import annotations

import pytest

from bench.drift import on_shuffled_days, on_shuffled_rows, real_year


@pytest.mark.slow
def test_the_year_fires_first_when_the_schedule_changes_and_names_the_destinations() -> None:
    # The model of January and February loses from the middle of April on.
    alarms = real_year()
    assert alarms[0].day.startswith("2013-04")
    assert {item.feature for item in alarms if item.day == alarms[0].day} == {"", "dest"}
    assert all(item.on for item in alarms[:5])


@pytest.mark.slow
def test_the_flights_in_random_order_do_not_fire() -> None:
    assert on_shuffled_rows(1, alpha=0.05).fired == 0
    assert on_shuffled_days(2, alpha=0.05).fired == 0
