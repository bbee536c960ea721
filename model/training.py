"""Fits gradient-boosted trees whose size is chosen on forward-chained folds.

Bit-identical on machines with the same kind of processor: the seed is fixed, and one thread sums the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from model.features import CATEGORICAL
from model.parameters import Parameters

SEED = 20130101
LEAVES = (7, 15, 31)
ROWS_PER_LEAF = (50, 200)


@dataclass(frozen=True)
class TreeSizeScore:
    """One candidate tree size and its mean log-loss (nats) over the folds."""

    leaves: int
    rows_per_leaf: int
    log_loss: float


@dataclass(frozen=True)
class Trained:
    """A fitted estimator (`predict_proba` over the rows' table) and its trials."""

    estimator: Pipeline
    trials: tuple[TreeSizeScore, ...]


def train(data: Any, parameters: Parameters, progress: Callable[[str], None] = print) -> Trained:
    """Choose the tree size, then fit on all of the data."""
    with threadpool_limits(limits=1):
        trials = tuple(_trials(data, parameters, progress))
    return _fitted(data, parameters, trials, progress)


def refit(data: Any, parameters: Parameters, trained: Trained, progress: Callable[[str], None] = print) -> Trained:
    """Fit on more data with the tree size that `train` chose."""
    return _fitted(data, parameters, trained.trials, progress)


def _fitted(
    data: Any, parameters: Parameters, trials: tuple[TreeSizeScore, ...], progress: Callable[[str], None]
) -> Trained:
    best = min(
        trials, key=lambda trial: trial.log_loss, default=TreeSizeScore(leaves=15, rows_per_leaf=200, log_loss=np.nan)
    )
    progress(f"fitting {parameters.max_iter} trees of {best.leaves} leaves on {len(data):,} flights")
    with threadpool_limits(limits=1):
        estimator = _estimator(parameters, best.leaves, best.rows_per_leaf).fit(data.table, data.label)
    return Trained(estimator, trials)


def _trials(data: Any, parameters: Parameters, progress: Callable[[str], None]) -> Iterator[TreeSizeScore]:
    table = data.table
    for leaves in LEAVES if parameters.folds else ():
        for rows_per_leaf in ROWS_PER_LEAF:
            losses: list[float] = []
            for past, following in forward_folds(data.event_time, parameters.folds):
                estimator = _estimator(parameters, leaves, rows_per_leaf).fit(table[past], data.label[past])
                probability = estimator.predict_proba(table[following])[:, 1]
                losses.append(float(log_loss(data.label[following], probability, labels=[False, True])))
            trial = TreeSizeScore(leaves, rows_per_leaf, float(np.mean(losses)))
            progress(f"{leaves} leaves of at least {rows_per_leaf} flights: log-loss {trial.log_loss:.4f}")
            yield trial


def forward_folds(
    event_time: NDArray[np.datetime64], folds: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split rows in time: yields non-empty row numbers before a moment, and in the stretch after it.

    The first half of the period is always past; the second is cut into `folds` equal stretches of time.
    """
    start, end = event_time.min(), event_time.max() + np.timedelta64(1, "s")
    cuts = start + (end - start) * np.linspace(0.5, 1.0, folds + 1)
    for since, until in pairwise(cuts):
        past = np.flatnonzero(event_time < since)
        following = np.flatnonzero((event_time >= since) & (event_time < until))
        if len(past) and len(following):
            yield past, following


def _estimator(parameters: Parameters, leaves: int, rows_per_leaf: int) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    settings: dict[str, Any] = {  # scikit-learn documents more types than its signatures infer
        "categorical_features": list(range(len(CATEGORICAL))),
        "early_stopping": False,
    }
    trees = HistGradientBoostingClassifier(
        learning_rate=parameters.learning_rate,
        max_iter=parameters.max_iter,
        max_leaf_nodes=leaves,
        min_samples_leaf=rows_per_leaf,
        random_state=SEED,
        **settings,
    )
    encode = ColumnTransformer([("codes", codes, CATEGORICAL)], remainder="passthrough")
    return Pipeline([("encode", encode), ("trees", trees)])
