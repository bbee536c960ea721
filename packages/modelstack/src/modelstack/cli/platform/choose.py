"""Finds the platform of an endpoint, without loading the others."""

from __future__ import annotations

from modelstack.cli.errors import UNKNOWN, OperatorError
from modelstack.cli.platform.port import Platform
from modelstack.cli.target import Target
from modelstack.services.platform_registry import DEFAULT, UnknownPlatform, platform


def platform_of(target: Target) -> Platform:
    """The platform of an endpoint; OperatorError if it is not installed."""
    try:
        found = platform(target.outputs.get("platform") or DEFAULT)
    except UnknownPlatform as error:
        raise OperatorError(str(error), exit_code=UNKNOWN) from None
    if not found.operator:
        raise OperatorError(f"platform {found.name} has no commands", None, 2)
    return found.use("operator")(target)
