"""What does botocore say about the operations that are implemented here?"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import create_loader
from botocore.model import ServiceModel


@cache
def service_model(service: str, operations: tuple[str, ...] | None = None) -> Any:
    """A botocore service model with only some operations and the shapes they need.

    The whole model of SageMaker takes tens of megabytes for as long as the server runs, most of it documentation.

    Args:
        service: botocore's name, e.g. `sagemaker-runtime`.
        operations: Names; None for all.

    Returns:
        A `botocore.model.ServiceModel`. Its `metadata["operations"]` has the names of all operations of the service.
    """
    whole: dict[str, Any] = create_loader().load_service_model(service, "service-2")
    names = sorted(whole["operations"])
    kept = {name: whole["operations"][name] for name in (names if operations is None else operations)}
    shapes: dict[str, Any] = {}
    for operation in kept.values():
        for role in ("input", "output"):
            if role in operation:
                _collect(operation[role]["shape"], whole["shapes"], shapes)
    pruned = {
        "metadata": {**whole["metadata"], "operations": names},
        "operations": {
            name: {key: operation[key] for key in ("name", "http", "input", "output") if key in operation}
            for name, operation in kept.items()
        },
        "shapes": shapes,
    }
    return ServiceModel(pruned, service)


def _collect(name: str, whole: dict[str, Any], kept: dict[str, Any]) -> None:
    if name in kept:
        return
    kept[name] = shape = _without_documentation(whole[name])
    references = [*shape.get("members", {}).values()] if isinstance(shape.get("members"), dict) else []
    references += [shape[role] for role in ("member", "key", "value") if isinstance(shape.get(role), dict)]
    for reference in references:
        _collect(reference["shape"], whole, kept)


def _without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        # A member may itself be called documentation; a doc string never is a dict.
        return {k: _without_documentation(v) for k, v in value.items() if k != "documentation" or isinstance(v, dict)}
    return value
