"""Training: folds that run forward in time."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import data, training
from model.parameters import Parameters
from modelstack.pipeline.rows import Rows

moments = st.lists(st.integers(0, 10_000_000), min_size=2, max_size=200).map(
    lambda seconds: np.sort(np.array(seconds)).astype("datetime64[s]")
)


@given(moments, st.integers(2, 10))
def test_no_fold_is_judged_on_its_own_past(event_time: np.ndarray, folds: int):
    judged: list[int] = []
    for past, following in training.forward_folds(event_time, folds):
        assert event_time[past].max() < event_time[following].min()
        judged.extend(following)
    assert len(judged) == len(set(judged))


def test_the_folds_judge_all_of_the_second_half():
    event_time = np.arange(1000).astype("datetime64[s]")
    judged = [row for _, following in training.forward_folds(event_time, 4) for row in following]
    assert judged == list(range(500, 1000))


@pytest.mark.slow
def test_the_size_of_the_trees_is_the_one_with_the_lowest_loss():
    settings = Parameters(max_iter=3, folds=2, train_from=date(2013, 2, 20))
    said: list[str] = []
    trained = training.train(Rows.of(data.training(settings)), settings, said.append)
    assert len(trained.trials) == len(training.LEAVES) * len(training.ROWS_PER_LEAF) == len(said) - 1
    best = min(trained.trials, key=lambda trial: trial.log_loss)
    trees = trained.estimator.named_steps["trees"]
    assert (trees.max_leaf_nodes, trees.min_samples_leaf) == (best.leaves, best.rows_per_leaf)


def test_a_second_fit_has_the_size_that_was_chosen_on_less():
    start, end = date(2013, 2, 20), date(2013, 3, 5)
    settings = Parameters(max_iter=3, folds=0, train_from=start, evaluate_until=end, refit=True)
    more = Rows.of(data.refit(settings))
    chosen = training.TreeSizeScore(leaves=7, rows_per_leaf=50, log_loss=0.5)
    worse = training.TreeSizeScore(leaves=31, rows_per_leaf=200, log_loss=0.6)
    again = training.refit(more, settings, training.Trained(None, (worse, chosen)), lambda _: None)
    trees = again.estimator.named_steps["trees"]
    assert (trees.max_leaf_nodes, trees.min_samples_leaf) == (7, 50)
    assert again.trials == (worse, chosen)


def test_a_code_that_was_never_seen_is_predicted_all_the_same():
    settings = Parameters(max_iter=3, folds=0, train_from=date(2013, 2, 20))
    rows = Rows.of(data.training(settings))
    estimator = training.train(rows, settings, lambda _: None).estimator
    unseen = rows.table[:1].copy()
    unseen[0, :3] = ["ZZ", "ZZZ", "ZZZ"]
    assert 0 < estimator.predict_proba(unseen)[0, 1] < 1
