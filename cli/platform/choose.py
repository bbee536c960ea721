"""The platform of an endpoint, as the commands use it. What another platform needs is not loaded."""

from __future__ import annotations

from cli.platform.port import Platform
from cli.target import Target
from services.platform_registry import DEFAULT, platform


def platform_of(target: Target) -> Platform:
    """The platform of an endpoint."""
    return platform(target.outputs.get("platform") or DEFAULT).use("operator")(target)
