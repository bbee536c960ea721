"""The platform of an endpoint, as the commands use it. What another platform needs is not loaded."""

from __future__ import annotations

from cli.errors import OperatorError
from cli.platform.port import Platform
from cli.target import Target
from services.platform_registry import DEFAULT, UnknownPlatform, platform


def platform_of(target: Target) -> Platform:
    """The platform of an endpoint.

    Raises:
        OperatorError: None of this name is installed.
    """
    try:
        found = platform(target.outputs.get("platform") or DEFAULT)
    except UnknownPlatform as error:
        raise OperatorError(str(error)) from None
    return found.use("operator")(target)
