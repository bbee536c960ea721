"""Facts about this checkout's model, read without training it or loading its libraries."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi

from modelstack.monitoring.custom import FOLDER, CustomMetricError, CustomMetrics, load
from modelstack.monitoring.labels.quality import Form, UnreadableForm
from modelstack.pipeline.contract import ContractBroken, RecipeError
from modelstack.pipeline.declared import check_parameters, retrained
from modelstack.pipeline.gate import GateError, reported
from modelstack.pipeline.outline import broken, unreadable
from modelstack.pipeline.project import project_root
from modelstack.pipeline.recipe import recipe
from modelstack.program.config.problems import Problem

_REQUEST, _ANSWER = "model/example_request.json", f"{FOLDER}/example_answer.json"
_USUAL = '{"prediction": "late", "probability": {"late": 0.7, "on time": 0.3}} or {"prediction": 12.5}'


def check_model() -> None:
    """Refuse a model that breaks its contract, with every problem, before its parameters or gates are checked."""
    problems = broken(project_root())
    if "answer.json" not in unreadable(project_root()):
        try:
            _form()
        except UnreadableForm as error:
            problems.append(f"model/{error}")
    if problems:
        raise pulumi.RunError(f"nothing was changed: {ContractBroken(problems)}")


def custom() -> CustomMetrics:
    """The project's own metrics; pulumi.RunError if their files cannot be used."""
    try:
        return load(project_root() / FOLDER)
    except CustomMetricError as error:
        raise pulumi.RunError(f"nothing was changed: {FOLDER}/ cannot be used:\n{error}") from None


def check_metrics() -> None:
    """Run the project's own metrics on an example, and refuse those that fail, or that no example can be had for."""
    if not (metrics := custom()).each:
        return
    problems: list[str] = []
    try:
        form = _form()
    except UnreadableForm:
        form = None
    own = any((project_root() / "model" / name).exists() for name in ("serving.py", "serving", "model.onnx"))
    if metrics.any_of(labelled=True) and form is None and own:
        problems.append("model/answer.json: not found; a metric with a label needs it, as labels are joined by it")
    request, more = (_json(project_root() / place) for place in (_REQUEST, _ANSWER))
    if more is not None and not (isinstance(more, dict) and (own or form or "prediction" in more)):
        needs = "" if own or form else f", such as {_USUAL}"
        problems.append(f"{_ANSWER}: found {json.dumps(more)[:99]}; expected the fields of one prediction{needs}")
    elif form is None and more is None:
        names = ", ".join(one.name for one in metrics.each.values())
        declared = ", or declare the fields in model/answer.json" if own else f", such as {_USUAL}"
        problems.append(
            f"{_ANSWER}: not found; {names} cannot be tried before anything changes. Write one prediction of the model "
            f"into it, as `modelstack invoke` prints it{declared}"
        )
    else:
        problems += _failures(metrics, form, request, more or {})
    if problems:
        raise pulumi.RunError(f"nothing was changed: {FOLDER}/ fails:\n" + "\n".join(dict.fromkeys(problems)))


def _failures(metrics: CustomMetrics, form: Form | None, request: Any, more: Mapping[str, Any]) -> Iterator[str]:
    """Which metrics fail on which example."""
    lacks = (
        "" if request else f". There is no {_REQUEST}; `python -m modelstack.pipeline example > {_REQUEST}` writes it"
    )
    for instance in ((request or {}).get("instances") or [{}])[:3]:
        for answer, label in _examples(form, more):
            for metric in metrics.each.values():
                try:
                    metric.value(instance, answer, *((label,) if metric.labelled else ()))
                except (Exception, SystemExit) as error:
                    yield f"{metric.why(error)}: {metric.name} of the example answer {json.dumps(answer)}{lacks}"


def _examples(form: Form | None, more: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], object]]:
    """Answers as `answer.json` declares them, and labels; `more` are further fields, or all where it declares none."""
    found: list[tuple[dict[str, Any], object]]
    if form is None:
        said, classes = more.get("prediction"), more.get("probability")
        others = [one for one in classes if isinstance(said, str) and one != said] if isinstance(classes, dict) else []
        found = [({}, label) for label in (said, *others[:1])]
    elif form.kind == "regression":
        found = [({form.value: 0.0}, 1.0)]
    else:
        chance: Any = 0.5 if form.binary else {str(one): 1 / len(form.classes) for one in form.classes}
        score = {form.probability: chance} if form.probability else {}
        found = [({form.decision: one, **score}, label) for one in form.classes[:2] for label in form.classes[:2]]
    return [({**answer, **more}, label) for answer, label in found]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise pulumi.RunError(f"nothing was changed: {path.parent.name}/{path.name}: found no JSON ({error})") from None


def losses() -> list[str]:
    """The metrics that late labels can give for the model's answers.

    Of a custom server only its `answer.json` says which; without that file, none are known.
    """
    try:
        form = _form()
    except UnreadableForm:
        return []
    if form is None:
        own = any((project_root() / "model" / name).exists() for name in ("serving.py", "serving"))
        return [] if own else ["absolute_error", "accuracy", "log_loss"]
    if form.kind == "regression":
        return ["absolute_error"]
    return ["accuracy", "log_loss"] if form.probability else ["accuracy"]


def loss() -> tuple[str, dict[str, float]] | None:
    """The metric by which labels show quality best, with the fields that it needs; None if `answer.json` has none."""
    try:
        form = _form()
    except UnreadableForm:
        return None
    if form is None:
        return None
    if form.kind == "classification":
        return ("log_loss" if form.probability else "accuracy"), {}
    return ("absolute_error", {"high": form.largest_error}) if math.isfinite(form.largest_error) else None


def _form() -> Form | None:
    try:
        return Form.from_dict(json.loads((project_root() / "model" / "answer.json").read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UnreadableForm(str(error)) from None


def recipe_of(parameters: Mapping[str, Any]) -> str:
    """The recipe digest of the model with the config's parameters; pulumi.RunError if files cannot be read."""
    try:
        return recipe(project_root(), parameters).digest
    except RecipeError as error:
        raise pulumi.RunError(f"the model has no recipe, so nothing was changed: {error}") from None


def parameters_through(parameters: Mapping[str, Any], through: str) -> dict[str, Any]:
    """The config's parameters with a retraining's data window, unless their own window is as new."""
    try:
        return {**parameters, **retrained(project_root(), parameters, through)}
    except RecipeError:  # not newer, or a model that cannot be retrained
        return dict(parameters)


def can_retrain() -> bool:
    """Whether the model defines `retrained`; parsed, not run."""
    path = project_root() / "model" / "parameters.py"
    body = ast.parse(path.read_bytes()).body if path.is_file() else []
    return any(isinstance(item, ast.FunctionDef) and item.name == "retrained" for item in body)


def wrong_parameters(parameters: Mapping[str, Any]) -> list[Problem]:
    """The problems that the model's own rules find, from its lines `name: what is wrong`."""
    try:
        check_parameters(project_root(), parameters)
    except RecipeError as error:
        lines = [line.partition(": ") for line in str(error).splitlines()]
        return [
            Problem(f".{name}", why, parameters[name])
            if name in parameters and why
            else Problem("", f"{name}{colon}{why}")
            for name, colon, why in lines
        ]
    return []


def metrics() -> list[str]:
    """The metrics that the model's evaluation reports; ValueError if it declares none."""
    try:
        return reported(project_root())
    except GateError as error:
        raise ValueError(str(error)) from None
