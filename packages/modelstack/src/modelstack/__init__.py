"""modelstack: machine-learning models into production with Pulumi.

The names below are for a project's program, `infra/__main__.py`. Each is loaded at its first use.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstack.program.aws.stack import AwsModel, AwsStack
    from modelstack.program.kubernetes.stack import KubernetesModel, KubernetesStack
    from modelstack.program.stack import Model, Stack

__all__ = ["AwsModel", "AwsStack", "KubernetesModel", "KubernetesStack", "Model", "Stack"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public are {', '.join(__all__)}")
    platform = name.removesuffix("Stack").removesuffix("Model").lower()
    return resolve_name(f"modelstack.program.{platform}{platform and '.'}stack:{name}")
