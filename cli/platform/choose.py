"""Which platform is an endpoint on? What the other one needs is not loaded."""

from __future__ import annotations

from cli.platform.port import Platform
from cli.target import Target, only_aws


def platform_of(target: Target) -> Platform:
    """The platform of an endpoint."""
    if target.on_kubernetes:
        raise only_aws(target)
    from cli.platform.aws.platform import Aws  # noqa: PLC0415 - it loads boto3

    return Aws(target)
