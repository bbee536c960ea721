"""Which platform is an endpoint on? What the other one needs is not loaded."""

from __future__ import annotations

from cli.platform.port import Platform
from cli.target import Target


def platform_of(target: Target) -> Platform:
    """The platform of an endpoint."""
    if target.on_kubernetes:
        from cli.platform.kubernetes.platform import Kubernetes  # noqa: PLC0415 - it loads what asks a cluster

        return Kubernetes(target)
    from cli.platform.aws.platform import Aws  # noqa: PLC0415 - it loads boto3

    return Aws(target)
