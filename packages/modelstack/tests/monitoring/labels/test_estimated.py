"""Estimates before labels: near what labels then show, with an interval that holds it."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from sklearn.metrics import roc_auc_score

from modelstack.monitoring.labels.estimated import FEWEST, estimated
from modelstack.monitoring.labels.scores import Scores

TRUE: Callable[[float], float] = lambda score: score**2  # noqa: E731 - of a score that is no probability


def drawn(source: Random, rows: int, low: float = 2, high: float = 2) -> tuple[list[float], list[bool]]:
    scores = [source.betavariate(low, high) for _ in range(rows)]
    return scores, [source.random() < TRUE(score) for score in scores]


def histogram(scores: list[float], hits: list[bool] | None = None) -> Scores:
    seen = Scores()
    for place, score in enumerate(scores):
        seen.add(score, decided=score >= 0.5, hit=bool(hits and hits[place]))
    return seen


def realised(scores: list[float], hits: list[bool]) -> dict[str, float]:
    losses = [-math.log(score if hit else 1 - score) for score, hit in zip(scores, hits, strict=True)]
    return {
        "Accuracy": sum((score >= 0.5) == hit for score, hit in zip(scores, hits, strict=True)) / len(scores),
        "LogLoss": sum(min(5.0, loss) for loss in losses) / len(losses),
        "AUC": float(roc_auc_score(hits, scores)),
    }


@pytest.mark.slow
def test_the_interval_of_an_estimate_holds_what_labels_then_show_though_the_requests_have_changed() -> None:
    source = Random(11)
    held = dict.fromkeys(("Accuracy", "LogLoss", "AUC"), 0)
    for _ in range(150):
        sealed = histogram(*drawn(source, 3000))
        scores, hits = drawn(source, 500, low=3)  # other requests than at training: higher scores
        found, shown = estimated(True, histogram(scores), sealed), realised(scores, hits)
        for name, value in shown.items():
            held[name] += found[name].low <= value <= found[name].high
            assert found[name].high - found[name].low < 0.3
    assert all(count >= 0.9 * 150 for count in held.values()), held


def test_a_moved_concept_shows_as_a_difference_that_the_interval_does_not_hold() -> None:
    source = Random(12)
    sealed = histogram(*drawn(source, 3000))
    scores, hits = drawn(source, 2000)
    turned = [hit != (source.random() < 0.1) for hit in hits]
    accuracy, shown = estimated(True, histogram(scores), sealed)["Accuracy"], realised(scores, turned)["Accuracy"]
    assert accuracy.value - shown > 0.03
    assert shown < accuracy.low


def test_estimates_are_those_worked_out_by_hand() -> None:
    sealed = histogram([0.2] * 400 + [0.8] * 400, [n < 100 for n in range(400)] + [n < 300 for n in range(400)])
    found = estimated(True, histogram([0.2, 0.2, 0.8]), sealed)
    assert found["Accuracy"].value == 0.75
    assert found["LogLoss"].value == pytest.approx(-0.25 * math.log(0.2) - 0.75 * math.log(0.8), abs=1e-6)
    hits, others = (0.5, 0.75), (1.5, 0.25)
    pairs = sum(hits) * sum(others)
    assert found["AUC"].value == pytest.approx((hits[0] * others[0] / 2 + hits[1] * (1.5 + 0.125)) / pairs)


@pytest.mark.parametrize("name", ["AUC", "LogLoss"])
def test_the_error_grows_with_what_is_not_known(name: str) -> None:
    source = Random(13)
    many, few = histogram(*drawn(source, 20_000)), histogram(*drawn(source, 300))
    answered, fewer = histogram(drawn(source, 5000)[0]), histogram(drawn(source, 100)[0])

    def width(answers: Scores, sealed: Scores) -> float:
        found = estimated(True, answers, sealed)[name]
        return found.high - found.low

    assert width(answered, many) < width(answered, few)
    assert width(answered, many) < width(fewer, many)


def test_of_more_than_two_classes_only_the_accuracy_is_estimated() -> None:
    found = estimated(False, histogram([0.9]), histogram([0.9] * FEWEST, [n % 10 > 0 for n in range(FEWEST)]))
    assert (list(found), found["Accuracy"].value) == (["Accuracy"], 0.9)


def test_without_answers_or_with_a_small_evaluation_there_is_no_estimate() -> None:
    source = Random(14)
    enough, small = histogram(*drawn(source, FEWEST)), histogram(*drawn(source, FEWEST - 1))
    assert estimated(True, Scores(), enough) == {}
    assert estimated(True, enough, small) == {}
    assert estimated(True, enough, enough) != {}


def test_scores_where_training_had_none_take_the_nearest_map_above_or_the_last() -> None:
    sealed = histogram([0.5] * FEWEST, [n % 4 == 0 for n in range(FEWEST)])
    for score, accuracy in ((0.05, 0.75), (0.95, 0.25)):
        assert estimated(True, histogram([score]), sealed)["Accuracy"].value == accuracy
