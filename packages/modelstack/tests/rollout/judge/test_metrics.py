from __future__ import annotations

from typing import Any

import pytest

from modelstack.rollout.judge.metrics import Metric


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kind": "rate", "margin": -0.1}, "margin is -0.1; expected a number of at least 0"),
        ({"kind": "rate", "margin": float("nan")}, "margin is nan"),
        ({"kind": "rate", "margin": 1.0}, "margin is 1.0; expected less than 1"),
        ({"kind": "rate", "margin": 0.1, "quantile": 0.5}, "quantile is 0.5; expected none, as the kind is 'rate'"),
        ({"kind": "quantile", "margin": 0.1}, "quantile is None; expected a number between 0 and 1"),
        ({"kind": "quantile", "margin": 0.1, "quantile": 1.0}, "quantile is 1.0; expected a number between 0 and 1"),
        ({"kind": "quantile", "margin": 0.1, "quantile": 0.5, "better": "higher"}, "better is 'higher'"),
        (
            {"kind": "mean", "margin": 0.1, "low": 1.0, "high": 1.0},
            "low is 1.0; expected low < high, both finite; high is 1.0",
        ),
        ({"kind": "mean", "margin": 2.0, "low": -1.0, "high": 1.0}, "margin is 2.0; expected less than high - low = 2"),
    ],
)
def test_a_metric_that_cannot_be_judged_is_refused_with_field_value_and_what_was_expected(
    values: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as caught:
        Metric("mine", **values)
    assert str(caught.value).startswith("metric 'mine': " + text)
