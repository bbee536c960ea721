"""After which batches the next one runs on the event loop."""

from __future__ import annotations

import pytest

from serving.pace import Pace

SLOW = 0.1


@pytest.mark.parametrize(
    ("seconds", "quick"),
    [
        ([], True),
        ([0.010], True),
        ([SLOW], False),
        ([SLOW, 0.0], True),  # one slow batch is the machine's doing
        ([SLOW, 0.0, SLOW, 0.0], False),
        ([SLOW, SLOW, 0.0, 0.0], False),
        ([SLOW, SLOW, *[0.0] * 8], False),
        ([SLOW, SLOW, *[0.0] * 20], True),
        ([SLOW, *[0.0] * 20, SLOW, 0.0], True),
    ],
)
def test_only_a_second_slow_batch_makes_a_model_slow(seconds: list[float], quick: bool):
    pace = Pace(0.010)
    for one in seconds:
        pace.note(one)
    assert pace.quick is quick
