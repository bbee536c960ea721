"""Does the content of a model card fit what a model package takes?

Source: Amazon SageMaker Developer Guide, "Model package model card schema": a model card without
`model_package_details`, whose `model_overview` has two members.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Document

_METRIC = {"name": str, "notes": str, "value": ..., "type": str, "x_axis_name": ..., "y_axis_name": ...}
_PARAMETERS = [{"name": str, "value": str}]
_TRAINING_METRICS = [{"name": str, "notes": str, "value": float}]
# `...` takes any value; a type, its values; a set, only its values; a dict, its members; a list, items as its one item.
_CARD: dict[str, Any] = {
    "model_overview": {"model_creator": str, "model_artifact": [str]},
    "intended_uses": {
        "purpose_of_model": str,
        "intended_uses": str,
        "factors_affecting_model_efficiency": str,
        "risk_rating": {"High", "Medium", "Low", "Unknown"},
        "explanations_for_risk_rating": str,
    },
    "business_details": {"business_problem": str, "business_stakeholders": str, "line_of_business": str},
    "training_details": {
        "objective_function": {
            "function": {"function": {"Maximize", "Minimize"}, "facet": str, "condition": str},
            "notes": str,
        },
        "training_observations": str,
        "training_job_details": {
            "training_arn": str,
            "training_datasets": [str],
            "training_environment": {"container_image": [str]},
            "training_metrics": _TRAINING_METRICS,
            "user_provided_training_metrics": _TRAINING_METRICS,
            "hyper_parameters": _PARAMETERS,
            "user_provided_hyper_parameters": _PARAMETERS,
        },
    },
    "evaluation_details": [
        {
            "name": str,
            "evaluation_observation": str,
            "evaluation_job_arn": str,
            "datasets": [str],
            "metadata": {...: str},
            "metric_groups": [{"name": str, "metric_data": [_METRIC]}],
        }
    ],
    "additional_information": {
        "ethical_considerations": str,
        "caveats_and_recommendations": str,
        "custom_details": {...: str},
    },
}
_MOST = {"model_artifact": 15, "training_datasets": 15, "container_image": 15, "datasets": 10}
"""Items of a list."""
_ARCHIVED = "Archived"


def check(card: Document) -> None:
    """Refuse a card whose content does not fit.

    Raises:
        ApiError: A ValidationException that names the first member that does not.
    """
    if "ModelCardContent" not in card:
        return
    try:
        content = json.loads(card["ModelCardContent"])
    except ValueError:
        raise invalid("ModelCard.ModelCardContent is no JSON.") from None
    if problem := next(_problems(_CARD, content, "ModelCardContent"), None):
        raise invalid(f"Model card content does not fit the schema: {problem}.")


def changed(before: Document, wanted: Document) -> Document:
    """A card after an update; the content of one that is archived stays.

    Raises:
        ApiError: The card is archived, or its content does not fit.
    """
    if before.get("ModelCardStatus") == _ARCHIVED and "ModelCardContent" in wanted:
        raise invalid("Model Card is in Archived state.")
    check(wanted)
    return {**before, **wanted}


def _problems(allowed: Any, value: Any, path: str) -> Iterator[str]:
    if allowed is ...:
        return
    if isinstance(allowed, set):
        if value not in allowed:
            yield f"{path} is {value!r}, allowed are {', '.join(sorted(allowed))}"
    elif isinstance(allowed, type):
        wanted = (int, float) if allowed is float else allowed
        if not isinstance(value, wanted) or isinstance(value, bool):
            yield f"{path} is no {'number' if allowed is float else 'string'}"
    elif isinstance(allowed, list):
        yield from _in_list(allowed, value, path)
    else:
        yield from _in_object(allowed, value, path)


def _in_list(allowed: list[Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is no list"
        return
    most = _MOST.get(path.rpartition(".")[2])
    if most is not None and len(value) > most:
        yield f"{path} has {len(value)} items, allowed are {most}"
    for place, item in enumerate(value, start=1):
        yield from _problems(allowed[0], item, f"{path}.{place}")


def _in_object(allowed: dict[Any, Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    if "name" in allowed and "name" not in value:
        yield f"{path}.name is missing"
    for name, item in value.items():
        member = f"{path}.{name}"
        if name not in allowed and ... not in allowed:
            yield f"{member} is unknown, allowed are {', '.join(allowed)}"
        else:
            yield from _problems(allowed.get(name, allowed.get(...)), item, member)
