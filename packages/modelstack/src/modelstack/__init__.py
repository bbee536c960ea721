"""modelstack: machine-learning models into production with Pulumi.

The names below are for a project's program, `infra/__main__.py`. Each is loaded at its first use.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstack.program.aws.stack import AwsModel as AwsModel
    from modelstack.program.aws.stack import AwsStack as AwsStack
    from modelstack.program.kubernetes.stack import KubernetesModel as KubernetesModel
    from modelstack.program.kubernetes.stack import KubernetesStack as KubernetesStack
    from modelstack.program.stack import Model as Model
    from modelstack.program.stack import Stack as Stack

PUBLIC = {
    "Stack": "stack",
    "Model": "stack",
    "AwsStack": "aws.stack",
    "AwsModel": "aws.stack",
    "KubernetesStack": "kubernetes.stack",
    "KubernetesModel": "kubernetes.stack",
}
"""Public name -> its module in `modelstack.program`."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public are {', '.join(PUBLIC)}")
    return resolve_name(f"modelstack.program.{PUBLIC[name]}:{name}")
