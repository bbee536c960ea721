"""Step `evaluate`: score the model on data that training could not know.

Of two estimators it evaluates the one that knows less (see `modelstack.pipeline.refit`). Writes `metrics.json`:
`summary` (metric -> value, which gates use), `evaluation` (the model's own details), `training` and `fast_form`. Also
`baseline.json` if the answers are known, and `model.onnx` if the served estimator has an equivalent fast form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite, prod
from pathlib import Path
from typing import Any, cast

from modelstack.monitoring.labels.performance import LabelScore
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, ACCURACY, LOG_LOSS, Form
from modelstack.pipeline import archive, parts, refit
from modelstack.pipeline.baseline import baseline, form_of, judged, outcomes
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.inputs import recipe_in
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.rows import Rows, period, seconds, tables
from modelstack.pipeline.steps import Given
from modelstack.pipeline.train import FEATURES
from modelstack.serving.onnx_file import FILE, OnnxFile

NAMES = {ACCURACY: "accuracy", LOG_LOSS: "log_loss", ABSOLUTE_ERROR: "absolute_error"}


def check_evaluation(found: Any, names: Collection[str]) -> None:
    """Refuse metrics that are not the declared `names`, or not finite numbers; the error names every problem."""
    problems = [f"model/evaluation.py: evaluate(estimator, rows): {text}" for text in _wrong(found, names)]
    if problems:
        raise ContractBroken(problems)


def _wrong(found: Any, names: Collection[str]) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"found {type(found).__name__}; expected a mapping, metric -> number"
        return
    values = cast(Mapping[str, Any], found)
    if set(values) != set(names):
        yield f"found {', '.join(values)}; expected the names in METRICS, {', '.join(names)}"
    for name, value in values.items():
        if not isinstance(value, int | float) or not isfinite(value):
            yield f"{name}: found {value!r}; expected a finite number (a float)"


def usual(form: Form, found: Sequence[LabelScore]) -> dict[str, float]:
    """The metrics of a model without its own evaluation: those that labels of its answers show later."""
    names = [ABSOLUTE_ERROR] if form.kind == "regression" else [ACCURACY, *([LOG_LOSS] if form.probability else [])]
    means = {NAMES[name]: sum(one.losses[name] for one in found) / len(found) for name in names}
    return {**means, "rows": float(len(found))}


def main(given: Given) -> None:
    """Run the step."""
    folder, parameters = given.folders["train"], recipe_in(given.folders["data"]).parameters
    trained: dict[str, Any] = json.loads((folder / "training.json").read_text())
    stored = refit.evaluated(folder)
    every = tables(parts.data, parts.settings(parameters))
    rows = every.evaluation
    print(f"evaluating on {len(rows):,} rows{period(rows)}")
    estimator = _load(stored, trained.get("evaluated", trained))
    said = _outcomes(folder, parts.answers(estimator, rows, parameters), rows)
    own = getattr(parts.evaluation, "evaluate", None)
    if own:
        summary = own(estimator, rows)
        check_evaluation(summary, getattr(parts.evaluation, "METRICS", ()))
    elif isinstance(estimator, OnnxFile) and said is None:
        summary = {"rows": float(len(rows))}
    elif said is None:
        raise ContractBroken(["model/evaluation.py: found no evaluate; expected it, as the answers are not known"])
    else:
        summary = usual(*said)
    find = getattr(parts.evaluation, "details", None)
    details = _as_json(find(estimator, rows)) if find else None
    serves = folder / refit.SERVING
    declared = json.loads((folder / FEATURES).read_bytes())
    serving = estimator if serves == stored else _load(serves, trained)
    content, form = _fast_form(serving, rows, declared)
    if isinstance(serving, OnnxFile):
        form = {"onnx": archive.GIVEN if serving.content else f"code/model/{FILE}"}
        if serving.content:
            (given.out / archive.GIVEN).write_bytes(serving.content)
    if content is not None:
        (given.out / archive.FAST_FORM).write_bytes(content)
    found = {"summary": summary, "evaluation": details, "training": trained, "fast_form": form}
    (given.out / "metrics.json").write_text(canonical(found))
    if said is not None:
        kept = baseline(*said, seconds(rows), seconds(every.training))
        (given.out / archive.BASELINE).write_text(canonical(kept.as_dict()))
        print(judged(kept))
    told = {name: f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" for name, value in summary.items()}
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def _outcomes(folder: Path, answers: Any, rows: Rows) -> tuple[Form, list[LabelScore]] | None:
    """Each answer compared with its label; None if the server's answers are unknown."""
    form = form_of(folder) if answers is not None else None
    if answers is None or form is None:
        return None
    return form, outcomes(form, answers, parts.labels(rows))


def _load(stored: Path, facts: Mapping[str, Any]) -> Any:
    if hashlib.sha256(stored.read_bytes()).hexdigest() != facts["model_sha256"]:
        raise ValueError(f"{stored} is not the model that was trained here: delete {stored.parent} and run again")
    return parts.load(stored)


def _fast_form(serves: Any, rows: Rows, declared: list[dict[str, Any]]) -> tuple[bytes | None, dict[str, Any]]:
    """The fast form of the served estimator or None, and its entry in the metrics."""
    if isinstance(serves, OnnxFile):
        return None, {}
    content, told = None, {"why_not": f"{type(serves).__name__} {archive.OTHER_LIBRARY}"}
    if any(one["kind"] == "bytes" for one in declared):
        told = {"why_not": "it takes bytes"}
    elif parts.is_of_scikit_learn(serves):
        from modelstack.pipeline.proof import fast_form  # noqa: PLC0415  takes a second, wasted on other models

        content, told = fast_form(serves, rows.table, list(_flat(declared)))
    if content is None:
        print(f"no fast form (ONNX), so the estimator itself serves: {told['why_not']}")
    else:
        print(f"the fast form says the same on {told['proven_on']:,} rows")
    return content, told


def _flat(declared: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The columns of the table: an array is one for each of its numbers."""
    for one in declared:
        shape = one.get("shape", ())
        plain = {"name": one["name"], "kind": one["kind"], "optional": one["optional"]}
        yield from ({**plain, "name": f"{one['name']}[{at}]"} for at in range(prod(shape))) if shape else (one,)


def _as_json(details: Any) -> Any:
    try:
        canonical(details)
    except (TypeError, ValueError) as error:
        raise ContractBroken(
            [f"model/evaluation.py: details(estimator, rows): found what is no JSON ({error}); expected JSON values"]
        ) from None
    return details
