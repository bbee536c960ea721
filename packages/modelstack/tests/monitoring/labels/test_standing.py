"""How a variant stands: what labels show, what is estimated, and whether the concept moved."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelstack.monitoring.bulk import DAY, usual
from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.concept import Tolerated
from modelstack.monitoring.labels.pairs import JoinedRow
from modelstack.monitoring.labels.performance import LabelScore, Performance
from modelstack.monitoring.labels.quality import Form
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.labels.standing import BUCKET, FEWEST, Promised, Standing
from modelstack.monitoring.statistics.blocks import Cut
from tests.services.labelled import DECLARED

FORM = Form.from_dict(DECLARED)


def pair(source: Random, flipped: float = 0.0) -> tuple[float, bool]:
    """A calibrated score and its label, flipped with some probability."""
    score = source.betavariate(2, 4)
    return score, (source.random() < score) != (source.random() < flipped)


def row(score: float, late: bool, at: float = 0.0, segments: Any = ()) -> JoinedRow:
    found = LabelScore.of(FORM, {"decision": score >= 0.5, "probability": score}, late)
    losses = {name: [value] for name, value in found.losses.items()}
    return JoinedRow("v-a", None, losses, at, [(score, score >= 0.5, late)], segments)


def sealed(rows: int = 3000) -> Performance:
    source, found = Random(0), Performance()
    for _ in range(rows):
        for outcome in row(*pair(source)).outcomes():
            found.add(outcome)
    return found


def losses(rows: int = 3000) -> NDArray[np.float64]:
    source = Random(0)
    return np.array([FORM.losses({"probability": p}, hit)["LogLoss"] for p, hit in (pair(source) for _ in range(rows))])


SEALED = sealed()
USUAL = usual(losses(), 5.0)
PROMISED = Promised(FORM, SEALED, Tolerated(USUAL.means, Cut(25.0, 25), rise=0.01, bound=10_000, late=0.0))
"""Blocks of 25 seconds, with a label a second."""
DAILY = Baseline(SEALED, usual(losses(750), 5.0, np.repeat(np.arange(30) * DAY, 25)))


def gauges(standing: Standing, promised: Promised = PROMISED) -> dict[str, float]:
    return {
        item.name if item.segment is None else f"{item.name} {item.segment}": item.value
        for item in standing.gauges(promised)
    }


def taken(rows: int, flipped: float = 0.0, seed: int = 1) -> Standing:
    source, standing, answered = Random(seed), Standing.new(), Scores()
    pairs = [pair(source, flipped) for _ in range(rows)]
    for score, _ in pairs:
        answered.add(score, decided=score >= 0.5)
    standing.take([(f"{n}", row(*one, at=float(n))) for n, one in enumerate(pairs)], [answered], PROMISED)
    standing.judge(PROMISED)
    return standing


def test_labels_show_what_was_promised_as_long_as_the_concept_stays() -> None:
    found = gauges(taken(1500))
    for name in ("Accuracy", "LogLoss", "AUC"):
        assert found[f"Realised{name}Low"] < found[f"Realised{name}"] < found[f"Realised{name}High"]
        assert found[f"Estimated{name}Low"] < found[f"Realised{name}"] < found[f"Estimated{name}High"]
        assert found[f"EstimateMiss{name}"] == pytest.approx(found[f"Estimated{name}"] - found[f"Realised{name}"])
    assert found["RealisedCalibrationErrorLow"] == 0
    assert (found["RealisedPairs"], found["ConceptEvidence"] < 1) == (1500, True)


def test_turned_labels_show_as_evidence_and_as_a_miss_of_the_estimate() -> None:
    found = gauges(taken(1900, flipped=0.2))
    assert found["ConceptEvidence"] >= 1
    assert found["EstimateMissAccuracy"] > 0.05
    assert found["RealisedAccuracyHigh"] < found["EstimatedAccuracyLow"]


def test_what_comes_together_may_come_in_any_order() -> None:
    source, kept = Random(2), list[tuple[str, JoinedRow]]()
    for place in range(600):
        kept.append((f"{place}", row(*pair(source), at=float(place // 7))))
    one, other = Standing.new(), Standing.new()
    one.take(kept, [], PROMISED)
    source.shuffle(kept)
    other.take(kept[:200], [], PROMISED)
    other.take(kept[200:], [], PROMISED)
    for standing in (one, other):
        standing.judge(PROMISED)
    assert (one.bets.blocks, one.bets) == (3, other.bets), "two parts of what came together, too"
    other = Standing.new()
    other.take(kept, [], PROMISED)
    other.judge(PROMISED)
    assert one.as_dict() == other.as_dict()
    assert Standing.from_dict(json.loads(json.dumps(one.as_dict()))).as_dict() == one.as_dict()


def test_only_the_newest_count_and_few_say_nothing() -> None:
    standing = taken(FEWEST - 1)
    assert not any(name.startswith(("Realised", "EstimateMiss")) for name in gauges(standing))
    assert "EstimatedAccuracy" in gauges(standing), "scores need no label"
    for seed in range(4):
        standing.take([(f"{n}", row(0.9, True)) for n in range(BUCKET)], [], PROMISED)
        assert standing.newest.pairs <= 2 * BUCKET, seed
    assert gauges(standing)["RealisedAccuracy"] == 1.0, "the first ones, some of them wrong, are forgotten"


def test_segments_have_an_error_each() -> None:
    standing = Standing.new()
    rows = [row(0.9, n % 4 > 0, segments=[{"origin": "JFK" if n % 2 else "EWR"}]) for n in range(80)]
    standing.take([(f"{n}", one) for n, one in enumerate(rows)], [], PROMISED)
    found = gauges(standing)
    assert (found["SegmentError origin=EWR"], found["SegmentError origin=JFK"]) == (0.5, 0.0)
    assert found["SegmentErrorLow origin=EWR"] < 0.5 < found["SegmentErrorHigh origin=EWR"]


def test_without_a_sealed_baseline_only_labels_are_told() -> None:
    standing = Standing.new()
    standing.take([(f"{n}", row(0.9, True)) for n in range(50)], [], Promised(FORM))
    assert {name.removeprefix("Realised")[:4] for name in gauges(standing, Promised(FORM))} == {
        "Accu", "LogL", "Cali", "Pair",
    }  # fmt: skip
