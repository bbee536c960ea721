"""The model's parts, and defaults for those that it does not define. Importing this module runs the model."""

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
from modelstack.pipeline.contract import ContractBroken, Event
from modelstack.pipeline.onnx_file import Data, Training
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.rows import Rows, as_json, tables
from modelstack.serving import former_names, sealed
from modelstack.serving.answers import Answers, WrongAnswers
from modelstack.serving.declaration import Declaration, Feature
from modelstack.serving.onnx_file import OnnxFile
from modelstack.serving.parameter_types import NoParameters, parse

FORM = "answer.json"
"""The file of a sealed package with the meaning of a prediction's fields, declared by the model or inferred."""


def _optional(name: str) -> ModuleType | None:
    return import_module(f"model.{name}") if find_spec(f"model.{name}") else None


former_names.install()
parameters, evaluation, features, serving = (
    _optional(name) for name in ("parameters", "evaluation", "features", "serving")
)
data: Any
training: Any
if (Path(next(iter(model.__path__))) / "model.onnx").is_file():
    data = _optional("data") or Data(getattr(features, "FEATURES", {}))
    training = _optional("training") or Training
else:
    data, training = import_module("model.data"), import_module("model.training")


@dataclass(frozen=True)
class Trained:
    """A fitted estimator, and what was tried on the way, as dataclasses of JSON values."""

    estimator: Any
    trials: tuple[Any, ...] = ()


def settings(given: Mapping[str, Any]) -> Any:
    """The model's parameters from JSON values."""
    return parse(getattr(parameters, "Parameters", NoParameters), given)


def fitted(found: Any, what: str = "train(rows, settings)") -> Trained:
    """The result of a fit, `what`: an estimator, or an object with `estimator` and `trials`; refuses others."""
    whole = hasattr(found, "estimator") and hasattr(found, "trials")
    trained = Trained(found.estimator, tuple(found.trials)) if whole else Trained(found)
    if not hasattr(serving, "main") and not hasattr(serving, "predict") and not hasattr(trained.estimator, "predict"):
        name = type(trained.estimator).__name__
        raise ContractBroken([f"model/training.py: {what}: found {name}; expected a fitted estimator with predict"])
    return trained


def is_of_scikit_learn(estimator: Any) -> bool:
    """Whether it is an estimator of scikit-learn, without importing that: it is loaded if the estimator is one."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(estimator, base.BaseEstimator)


def save(estimator: Any, path: Path) -> None:
    """Write an estimator, by default uncompressed: the bytes then depend on no compression library."""
    getattr(training, "save", cast(Any, joblib).dump)(estimator, str(path))


def load(path: Path) -> Any:
    """Read an estimator. Unpickles: only for a file whose digest was checked."""
    return getattr(training, "load", cast(Any, joblib).load)(str(path))


def form(estimator: Any, rows: Rows) -> str | None:
    """The meaning of a prediction's fields as JSON: declared or, with the usual server, inferred; else None."""
    own = Path(next(iter(model.__path__))) / FORM
    if own.is_file():
        return canonical(json.loads(own.read_bytes()))
    if rows.label is None or hasattr(serving, "main") or isinstance(estimator, OnnxFile):
        return None
    return canonical(_form(estimator, rows.label))


def _form(estimator: Any, labels: NDArray[Any]) -> dict[str, Any]:
    """The inferred meaning of the usual prediction. A regression error counts at most as much as the labels' range."""
    if not hasattr(estimator, "classes_"):
        apart = float(np.max(labels) - np.min(labels))
        return {"kind": "regression", "value": "prediction", "largest_error": apart or 1.0}
    found = {"kind": "classification", "classes": np.asarray(estimator.classes_).tolist(), "decision": "prediction"}
    return {**found, "probability": "probability"} if hasattr(estimator, "predict_proba") else found


def answers(estimator: Any, rows: Rows, given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The prediction of each row, as the server answers it; None if the model's own server does not declare it."""
    if hasattr(serving, "main") and not hasattr(serving, "predict"):
        return None
    predict = getattr(serving, "predict", sealed.predict)
    try:
        return Answers.of(predict(sealed.Sealed(estimator, sealed.Values(given)), rows), len(rows)).documents(
            0, len(rows)
        )
    except WrongAnswers as error:
        raise ContractBroken([f"model/serving.py: predict(model, rows): {error}"]) from None


def declared(rows: Rows) -> list[dict[str, Any]]:
    """The allowed content of a request by feature: what the rows show, and what the model declares in addition."""
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
    """A line for each feature with values in the rows that a request may not have."""
    for one in declared.features:
        if one.shape:
            yield from _outside_array(one, rows.columns[one.name])
            continue
        values = (as_json(value) for value in rows.columns[one.name])
        bad = [value for value in values if not one.fits(value)]
        if bad:
            yield f"{one.name}: {len(bad):,} rows are not allowed, such as {bad[0]!r}; expected {one.allowed}"


def _outside_array(one: Feature, values: NDArray[Any]) -> Iterator[str]:
    if values.shape[1:] != one.shape:
        yield f"{one.name}: found arrays of shape {list(values.shape[1:])}; expected {one.allowed}"
        return
    low, high = one.limits
    if bad := int(((values < low) | (values > high)).reshape(len(values), -1).any(axis=1).sum()):
        yield f"{one.name}: {bad:,} rows are not allowed; expected {one.allowed}"


def check_labels(rows: Rows) -> None:
    """Refuse rows without labels, unless the model needs none here."""
    if training is Training:
        return
    if rows.label is None and (hasattr(serving, "predict") or not hasattr(evaluation, "evaluate")):
        raise ContractBroken(["model/data.py: found no column label; expected one, which answers are held against"])


def labels(rows: Rows) -> list[Any]:
    """The label of each row as JSON."""
    return [] if rows.label is None else [as_json(value) for value in rows.label]


def replay(since: str | None = None, until: str | None = None) -> Iterator[Any]:
    """The model's events or, without its own, its rows: in order of time or, without times, repeated forever.

    Args:
        since: First day or moment, ISO 8601, UTC; None is the first row that training has not seen.
        until: End, exclusive; None is the end of the rows.
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
