"""The model's own parts, and what stands in for those that it does not give. Only steps import it: it runs the model.

settings = parts.settings({"strength": 0.5})
trained = parts.fitted(parts.training.train(rows, settings))
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import joblib
import numpy as np
from numpy.typing import NDArray

import model
from pipeline.contract import ContractBroken, Event
from pipeline.parameter_types import NoParameters, parse
from pipeline.recipe import canonical
from pipeline.rows import Rows, as_json, tables
from serving import sealed
from serving.answers import Answers, WrongAnswers
from serving.declaration import Declaration

FORM = "answer.json"
"""In a sealed package: what the fields of a prediction mean, as the model says or as it was found out."""


def _optional(name: str) -> ModuleType | None:
    return import_module(f"model.{name}") if find_spec(f"model.{name}") else None


data, training = import_module("model.data"), import_module("model.training")
parameters, evaluation, features, serving = (
    _optional(name) for name in ("parameters", "evaluation", "features", "serving")
)


@dataclass(frozen=True)
class Trained:
    """A fitted model.

    Attributes:
        estimator: The fitted estimator.
        trials: What was tried on the way, dataclasses of JSON values; empty if nothing was.
    """

    estimator: Any
    trials: tuple[Any, ...] = ()


def settings(given: Mapping[str, Any]) -> Any:
    """The model's parameters from JSON values."""
    return parse(getattr(parameters, "Parameters", NoParameters), given)


def fitted(found: Any, what: str = "train(rows, settings)") -> Trained:
    """What a fit returned: an estimator, or an object with `estimator` and `trials`.

    Args:
        found: What the model's function returned.
        what: The function, as it was called.

    Raises:
        ContractBroken: It is nothing that the usual server could serve, and the model has no server of its own.
    """
    whole = hasattr(found, "estimator") and hasattr(found, "trials")
    trained = Trained(found.estimator, tuple(found.trials)) if whole else Trained(found)
    if not hasattr(serving, "main") and not hasattr(serving, "predict") and not hasattr(trained.estimator, "predict"):
        name = type(trained.estimator).__name__
        raise ContractBroken([f"model/training.py: {what}: found {name}; expected a fitted estimator with predict"])
    return trained


def is_of_scikit_learn(estimator: Any) -> bool:
    """Whether it is an estimator of scikit-learn; without loading that, as it is loaded for each of its estimators."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(estimator, base.BaseEstimator)


def save(estimator: Any, path: Path) -> None:
    """Write an estimator. Without the model's own way uncompressed: the bytes then depend on no compression library."""
    getattr(training, "save", cast(Any, joblib).dump)(estimator, str(path))


def load(path: Path) -> Any:
    """Read an estimator. Unpickles: only for a file whose digest was checked."""
    return getattr(training, "load", cast(Any, joblib).load)(str(path))


def form(estimator: Any, rows: Rows) -> str | None:
    """What the fields of a prediction mean, as JSON: the model's word or, with the usual server, what can be found out.

    None for a server of the model's own that does not say, and for rows without a label.
    """
    own = Path(next(iter(model.__path__))) / FORM
    if own.is_file():
        return canonical(json.loads(own.read_bytes()))
    if rows.label is None or hasattr(serving, "main"):
        return None
    return canonical(_form(estimator, rows.label))


def _form(estimator: Any, labels: NDArray[Any]) -> dict[str, Any]:
    """What the fields of the usual prediction mean.

    Args:
        estimator: A fitted classifier, or a fitted regressor.
        labels: What it was fitted on. An error counts at most as much as they are apart.
    """
    if not hasattr(estimator, "classes_"):
        apart = float(np.max(labels) - np.min(labels))
        return {"kind": "regression", "value": "prediction", "largest_error": apart or 1.0}
    found = {"kind": "classification", "classes": np.asarray(estimator.classes_).tolist(), "decision": "prediction"}
    return {**found, "probability": "probability"} if hasattr(estimator, "predict_proba") else found


def answers(estimator: Any, rows: Rows, given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The prediction of each row, as a request is answered; None where a server of the model's own does not say.

    Args:
        estimator: The fitted estimator.
        rows: What to answer.
        given: The version's parameters, JSON values.

    Raises:
        ContractBroken: The model's `predict` returned what cannot be answered.
    """
    if hasattr(serving, "main") and not hasattr(serving, "predict"):
        return None
    predict = getattr(serving, "predict", sealed.predict)
    try:
        return Answers.of(predict(sealed.Sealed(estimator, given), rows), len(rows)).documents(0, len(rows))
    except WrongAnswers as error:
        raise ContractBroken([f"model/serving.py: predict(model, rows): {error}"]) from None


def declared(rows: Rows) -> list[dict[str, Any]]:
    """What a request may hold, feature by feature: what the rows show, and what the model declares beside it.

    Raises:
        ContractBroken: The model declares what its rows are not, or what no request can be held to.
    """
    own: Mapping[str, Any] = getattr(features, "FEATURES", {})
    found = rows.features
    where = "model/features.py: FEATURES"
    if unknown := sorted(own.keys() - {one["name"] for one in found}):
        raise ContractBroken([f"{where}: found {', '.join(unknown)}; expected columns of training(settings)"])
    merged = [{**one, **own.get(one["name"], {})} for one in found]
    try:
        checked = Declaration.from_dict(merged)
    except (TypeError, ValueError) as error:
        raise ContractBroken([f"{where}: {error}"]) from None
    if wrong := next(_outside(rows, checked), None):
        raise ContractBroken([f"{where}: {wrong}"])
    return merged


def _outside(rows: Rows, declared: Declaration) -> Iterator[str]:
    """A line for each feature of which a row has what a request may not."""
    for one in declared.features:
        values = (as_json(value) for value in rows.columns[one.name])
        bad = [value for value in values if not one.fits(value)]
        if bad:
            yield f"{one.name}: {len(bad):,} rows are not allowed, such as {bad[0]!r}; expected {one.allowed}"


def check_labels(rows: Rows) -> None:
    """Refuse rows without labels, unless nothing of the model is held against them here.

    Raises:
        ContractBroken: The table has none.
    """
    if rows.label is None and (hasattr(serving, "predict") or not hasattr(evaluation, "evaluate")):
        raise ContractBroken(["model/data.py: found no column label; expected one, which answers are held against"])


def labels(rows: Rows) -> list[Any]:
    """The label of each row as JSON."""
    return [] if rows.label is None else [as_json(value) for value in rows.label]


def replay(since: str | None = None, until: str | None = None) -> Iterator[Any]:
    """The model's events or, if it names none, its rows: in order of time or, without times, over and over.

    Args:
        since: First day or moment, ISO 8601, UTC; None is the first row that training has not seen.
        until: End, not included; None is the end of the rows.
    """
    if own := getattr(data, "replay", None):
        yield from own(since, until)
        return
    found = tables(data, settings({}))
    if found.evaluation.event_time is None:
        for number in count():
            for rows in (found.training, found.evaluation):
                yield from _events(rows, range(len(rows)), f"-{number}")
    for rows in (found.training, found.evaluation) if since else (found.evaluation,):
        at: Any = rows.event_time
        low = at.min() if since is None else np.datetime64(since)
        order = np.argsort(at, kind="stable")
        chosen = (at[order] >= low) & (True if until is None else at[order] < np.datetime64(until))
        yield from _events(rows, order[chosen])


def _events(rows: Rows, places: Any, again: str = "") -> Iterator[Event]:
    said = None if rows.label is None else labels(rows)
    for place in places:
        instance = {name: as_json(values[place]) for name, values in rows.columns.items()}
        name = str(rows.id[place]) + again
        if len(name) > 40:
            name = hashlib.sha256(name.encode()).hexdigest()[:40]
        yield Event(
            name,
            _moment(rows.event_time, place),
            instance,
            None if said is None else said[place],
            _moment(rows.label_at, place),
        )


def _moment(times: Any, place: int) -> datetime | None:
    if times is None:
        return None
    return times[place].astype("datetime64[us]").item().replace(tzinfo=UTC)
