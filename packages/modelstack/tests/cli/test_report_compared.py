"""Champion and challenger are compared on the rows that both answered unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelstack.cli.report.compared import Answered, NotComparable, compared

ROWS = 2000


def answered(shift: float, *, first: int = 0, worse_in: str = "", **more: Any) -> Answered:
    """Answers whose losses differ by `shift` in the mean from those of another call with the same rows."""
    source = np.random.default_rng(7)
    rows = np.arange(ROWS)
    hits = source.random(ROWS) < 0.4
    scores = np.clip(np.where(hits, 0.6, 0.3) + source.normal(0, 0.1, ROWS), 0.01, 0.99)
    origin = [("EWR", "JFK", "LGA")[row % 3] for row in rows]
    losses = source.gamma(2, 0.3, ROWS) + shift
    losses += np.array([0.4 if one == worse_in else 0.0 for one in origin])
    decisions = [bool(score > 0.5) != (shift < 0 and row % 50 == 0) for row, score in zip(rows, scores, strict=True)]
    given = {
        "loss": "log_loss",
        "keys": [f"row {row}" for row in rows],
        "days": [f"2013-03-{1 + row % 20:02}" for row in rows],
        "losses": losses.tolist(),
        "labels": hits.tolist(),
        "decisions": decisions,
        "scores": scores.tolist(),
        "hits": hits.tolist(),
        "segments": {"origin": origin},
    }
    return Answered.from_dict({**given, **more}).take(range(first, ROWS))


def test_a_lower_loss_on_the_same_rows_is_a_gain_with_an_interval() -> None:
    found = compared(answered(0.0), answered(-0.1))
    assert (found.loss.rows, found.loss.days, found.only) == (ROWS, 20, (0, 0))
    assert found.loss.gain == pytest.approx(0.1)
    assert found.loss.low is not None and found.loss.low > 0


def test_rows_of_one_side_alone_are_left_out_and_counted() -> None:
    found = compared(answered(0.0, first=300), answered(-0.1))
    assert (found.loss.rows, found.only) == (ROWS - 300, (0, 300))


def test_a_row_with_another_label_is_another_row() -> None:
    other = answered(0.0)
    labels = [not label if row < 5 else label for row, label in enumerate(other.labels)]
    assert compared(answered(0.0), answered(0.0, labels=labels)).loss.rows == ROWS - 5


def test_a_segment_that_gets_worse_is_found_among_those_that_do_not() -> None:
    found = compared(answered(0.0), answered(0.0, worse_in="JFK"))
    assert found.tested == 3
    assert (found.segments[0].value, found.segments[0].surely) == ("JFK", "worse")
    assert [one.surely for one in found.segments[1:]] == ["", ""]


def test_intervals_of_many_segments_are_wider_than_that_of_one() -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, ROWS)
    losses = (answered(0.0).losses + np.abs(noise)).tolist()
    one = compared(answered(0.0), answered(0.0, losses=losses, segments={}))
    assert one.tested == 0
    three = compared(answered(0.0), answered(0.0, losses=losses)).segments[0].loss
    assert three.high - three.low > (one.loss.high - one.loss.low) * np.sqrt(3)


def test_decisions_that_change_are_mended_or_broken() -> None:
    found = compared(answered(0.0), answered(-0.1)).decisions
    assert (found.rows, found.changed) == (ROWS, 40)
    assert found.mended + found.broken == 40 and found.moved is None


def test_values_of_a_regression_move() -> None:
    before = answered(0.0, loss="absolute_error", decisions=[1.0] * ROWS, scores=None, hits=None)
    after = answered(0.0, loss="absolute_error", decisions=[1.5] * ROWS, scores=None, hits=None)
    found = compared(before, after)
    assert (found.decisions.changed, found.decisions.moved, found.calibration) == (ROWS, 0.5, None)


def test_calibration_is_compared_over_the_same_ranges() -> None:
    low = [score / 2 for score in answered(0.0).scores]
    found = compared(answered(0.0), answered(0.0, scores=low)).calibration
    assert len(found.bins) == 10
    assert sum(one.champion[0] for one in found.bins if one.champion) == ROWS
    assert sum(one.challenger[0] for one in found.bins if one.challenger) == ROWS
    assert found.challenger > found.champion
    assert found.bins[-1].challenger is None


def test_answers_of_another_kind_and_other_rows_are_refused_with_the_reason() -> None:
    with pytest.raises(NotComparable, match="by log_loss, the challenger's by error"):
        compared(answered(0.0), answered(0.0, loss="error"))
    with pytest.raises(NotComparable, match="no row to evaluate on is new to both"):
        compared(answered(0.0), answered(0.0, keys=[f"other {row}" for row in range(ROWS)]))
