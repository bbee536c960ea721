"""Step `train`: fit the model and take the reference for drift, after fits of a sample and a check of all rows.

Writes `model.joblib`, `reference.json`, `features.json` and `answer.json` (its requests and answers), `example.json`
(an example request) and `training.json` (which rows it has seen). With a second fit these are of what serves, and
`evaluated.joblib` is the estimator to evaluate: see `modelstack.pipeline.refit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelstack.monitoring.bulk import ROWS, sealed
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.drift.shift import Null
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.conformal import FEWEST
from modelstack.monitoring.statistics.profile import Profile
from modelstack.pipeline import archive, determinism, example, parts, refit, unusable_columns
from modelstack.pipeline.checkout import work_folder
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.inputs import recipe_in
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.rows import Rows, period, seconds, tables, times
from modelstack.pipeline.steps import Given
from modelstack.serving.declaration import Declaration
from modelstack.serving.summaries import summarised

FEATURES = "features.json"


def main(given: Given) -> None:
    """Run the step."""
    parameters = recipe_in(given.folders["data"]).parameters
    with work_folder(given.out, "sample") as folder:
        determinism.check(given.root, parameters, folder)
    settings = parts.settings(parameters)
    found = tables(parts.data, settings)
    parts.check_labels(found.training)
    known, out = found.training, given.out
    print(f"read {len(known):,} rows to train on{period(known)}")
    try:
        trained = parts.training.train(known, settings)
    except Exception as error:  # whatever a library raises
        if why := unusable_columns.why(error, known):
            raise ContractBroken([f"model/training.py: train(rows, settings): {why}"]) from error
        raise
    fitted = parts.fitted(trained)
    if unusable_columns.pandas_categories(fitted.estimator):
        raise ContractBroken([f"model/training.py: train(rows, settings): {unusable_columns.of_categories(known)}"])
    facts: dict[str, Any] = {"trials": [vars(trial) for trial in fitted.trials]}
    if found.refit is None:
        facts |= _saved(out / refit.SERVING, fitted, known)
    else:
        facts["evaluated"] = _saved(out / refit.EVALUATED, fitted, known)
        known = found.refit
        print(f"what serves is fitted once more, on {len(known):,} rows{period(known)}")
        if hasattr(parts.training, "refit"):
            again = parts.training.refit(known, settings, trained)
            fitted = parts.fitted(again, "refit(rows, settings, trained)")
        else:
            fitted = parts.fitted(parts.training.train(known, settings))
        facts |= _saved(out / refit.SERVING, fitted, known)
    (out / "training.json").write_text(canonical(facts))
    declared = parts.declared(known)
    (out / FEATURES).write_text(canonical(declared))
    if form := parts.form(fitted.estimator, known):
        (out / parts.FORM).write_text(form)
    own = getattr(parts.data, "reference", None)  # of a model without rows
    kept = own() if own else reference(known, declared)
    print(judged(kept))
    (out / "reference.json").write_text(canonical(kept.as_dict()))
    (out / archive.EXAMPLE).write_text(canonical(example.request(known)))


def _saved(path: Path, trained: parts.Trained, rows: Rows) -> dict[str, Any]:
    """Write an estimator, and return its facts."""
    parts.save(trained.estimator, path)
    return {"model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": len(rows), **times(rows)}


def reference(rows: Rows, declared: Sequence[Mapping[str, Any]] = ()) -> Reference:
    """Take the reference of some rows, of which there must be at least one, with these features or their own."""
    columns: dict[str, Any] = {}
    features = Declaration.from_dict(declared or rows.features)
    for one in features.features:
        if one.watched is None:
            columns[one.name] = rows.columns[one.name]
        else:
            found = summarised(one, rows.columns[one.name])
            columns |= {f"{one.name}.{name}": values for name, values in found.items()}
    if not columns:  # nothing is watched
        return Reference(Profile({}, len(rows), features.watched), Null.of({}, Cut(0.0, ROWS)))
    return Reference(*sealed(columns, seconds(rows), features.watched))


def judged(reference: Reference) -> str:
    """Message for the trainer: how later drift will be judged."""
    blocks = [calibration.blocks for each in reference.null.scores.values() for calibration in each.values()]
    if blocks:
        return f"drift is judged against {max(blocks)} blocks of training"
    return (
        f"drift is reported but not tested, so its alarm cannot fire: training has fewer than {FEWEST} days of rows "
        f"or, where rows have no times, than {FEWEST * ROWS} rows"
    )
