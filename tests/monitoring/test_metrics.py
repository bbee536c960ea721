"""What a wrong prediction costs a passenger."""

from __future__ import annotations

import pytest

from monitoring.metrics import passenger_cost


@pytest.mark.parametrize(
    ("late", "label", "cost"), [(True, True, 0), (False, False, 0), (True, False, 1), (False, True, 5)]
)
def test_a_delay_without_a_warning_costs_five_times_a_false_warning(late: bool, label: bool, cost: float) -> None:
    assert passenger_cost({}, {"late": late}, label) == cost
