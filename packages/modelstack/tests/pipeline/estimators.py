"""Tables and estimators for tests of fast forms."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelstack.pipeline.rows import Rows

TEXTS = ["UA", "AA", "DL", ""]


def numbers(rows: int = 150, missing: bool = False) -> Rows:
    """Three columns of numbers, one of them of few values; a label is the first one's sign."""
    random = np.random.default_rng(1)
    table: dict[str, Any] = {name: random.normal(size=rows) for name in "ab"}
    table["c"] = random.integers(0, 9, size=rows)
    label = table["a"] + table["c"] / 9 > 0.5
    if missing:
        table["b"][random.random(rows) < 0.2] = np.nan
    return Rows.of({**table, "label": label})


def mixed(rows: int = 200, *, missing: bool = False) -> Rows:
    """Columns: two texts, two numbers, a boolean, a text and a number."""
    random = np.random.default_rng(2)
    table: dict[str, Any] = {name: random.choice(TEXTS, rows).astype(object) for name in ("from", "to")}
    table |= {"distance": random.normal(size=rows) * 1000, "hour": random.integers(0, 24, rows)}
    table |= {"holiday": random.random(rows) < 0.3, "kind": random.choice(["x", "y"], rows).astype(object)}
    table["wind"] = random.normal(size=rows)
    label = (table["distance"] > 0) ^ (table["from"] == "UA")
    if missing:
        table["to"][random.random(rows) < 0.2] = None
        table["wind"][random.random(rows) < 0.2] = np.nan
    return Rows.of({**table, "label": label})


def labels(rows: Rows, kind: str) -> Any:
    """Labels of two or three classes, or positive numbers."""
    first = next(values for values in rows.columns.values() if values.dtype.kind == "f")
    size = first / np.abs(first).max()
    if kind == "three":
        return np.array(["low", "middle", "high"])[np.digitize(size, [-0.2, 0.2])]
    return rows.label if kind == "two" else np.exp(size) * 7


WORDS, REST = [0, 1, 5], [2, 3, 4, 6]


def encoded(texts: Any, others: Any = "passthrough") -> ColumnTransformer:
    return ColumnTransformer([("texts", texts, WORDS), ("others", others, REST)])


CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
KNOWN = OneHotEncoder(handle_unknown="ignore")
FILLED = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
BOOSTED = {"max_iter": 4, "min_samples_leaf": 3}

NUMBERS: dict[str, tuple[Any, str]] = {
    "logistic regression": (LogisticRegression(), "two"),
    "logistic regression, three classes": (make_pipeline(StandardScaler(), LogisticRegression()), "three"),
    "linear regression": (LinearRegression(), "number"),
    "ridge": (make_pipeline(StandardScaler(), Ridge()), "number"),
    "Poisson regression": (PoissonRegressor(), "number"),
    "naive Bayes": (GaussianNB(), "three"),
    "tree": (DecisionTreeClassifier(), "three"),
    "regression tree": (DecisionTreeRegressor(max_depth=4), "number"),
    "forest": (RandomForestClassifier(n_estimators=6, random_state=0), "two"),
    "forest, three classes": (RandomForestClassifier(n_estimators=4, max_depth=4, random_state=0), "three"),
    "extra trees": (ExtraTreesClassifier(n_estimators=3, max_depth=5, random_state=0), "two"),
    "regression forest": (RandomForestRegressor(n_estimators=3, random_state=0), "number"),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=5), "two"),
    "gradient boosting, exponential loss": (GradientBoostingClassifier(n_estimators=3, loss="exponential"), "two"),
    "gradient boosting, three classes": (GradientBoostingClassifier(n_estimators=3), "three"),
    "gradient boosting regression": (GradientBoostingRegressor(n_estimators=5), "number"),
    "a search": (GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2, 3]}, cv=2), "two"),
    "labels alone": (SVC(), "two"),
}
BOTH: dict[str, tuple[Any, str]] = {
    "histogram": (HistGradientBoostingClassifier(**BOOSTED), "two"),
    "histogram, three classes": (HistGradientBoostingClassifier(**BOOSTED), "three"),
    "histogram regression": (HistGradientBoostingRegressor(**BOOSTED), "number"),
    "histogram Poisson": (HistGradientBoostingRegressor(**BOOSTED, loss="poisson"), "number"),
    "histogram gamma": (HistGradientBoostingRegressor(**BOOSTED, loss="gamma"), "number"),
    "histogram quantile": (HistGradientBoostingRegressor(**BOOSTED, loss="quantile", quantile=0.9), "number"),
    "histogram of one leaf": (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1000), "two"),
    "histogram, categories": (HistGradientBoostingClassifier(**BOOSTED, categorical_features=[2]), "three"),
    "forest that knows missing values": (RandomForestClassifier(n_estimators=3, random_state=0), "two"),
    "imputer": (make_pipeline(SimpleImputer(strategy="median"), LogisticRegression()), "two"),
}
MIXED: dict[str, tuple[Any, str]] = {
    "codes and categories": (
        make_pipeline(encoded(CODES), HistGradientBoostingClassifier(**BOOSTED, categorical_features=[0, 1, 2])),
        "two",
    ),
    "codes": (make_pipeline(encoded(CODES), HistGradientBoostingRegressor(**BOOSTED)), "number"),
    "codes, forest": (make_pipeline(encoded(CODES), RandomForestClassifier(n_estimators=3)), "two"),
    "columns": (make_pipeline(encoded(KNOWN, FILLED), LogisticRegression()), "two"),
    "columns, three classes": (make_pipeline(encoded(KNOWN, FILLED), LogisticRegression()), "three"),
    "columns, regression": (make_pipeline(encoded(KNOWN, FILLED), Ridge()), "number"),
    "columns without the first": (make_pipeline(encoded(OneHotEncoder(drop="first"), FILLED), Ridge()), "number"),
    "rare categories": (
        make_pipeline(encoded(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60), FILLED), Ridge()),
        "number",
    ),
    "texts that are filled in": (
        make_pipeline(
            encoded(make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None), KNOWN), FILLED),
            LogisticRegression(),
        ),
        "two",
    ),
}


PICKED: dict[str, ColumnTransformer] = {
    "in another order": ColumnTransformer([("n", StandardScaler(), [2, 6, 3]), ("t", KNOWN, [5, 0, 1])]),
    "two the other way round": ColumnTransformer([("n", StandardScaler(), [3, 2]), ("t", KNOWN, [1, 0])]),
    "by a mask": ColumnTransformer([("n", StandardScaler(), [name not in WORDS for name in range(7)])]),
    "from the end": ColumnTransformer([("n", StandardScaler(), [-1, 2]), ("t", KNOWN, slice(0, 2))]),
    "the rest": ColumnTransformer([("t", KNOWN, WORDS), ("d", "drop", [2])], remainder="passthrough"),
    "of both kinds": ColumnTransformer([("t", KNOWN, [0, 3, 5]), ("none", StandardScaler(), []), ("p", CODES, [3, 0])]),
}
