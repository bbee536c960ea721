"""The declaration of a stack on the platform that its config names. The SDK of another platform is not loaded."""

from __future__ import annotations

from collections.abc import Mapping

from modelstack.program.config.checkout import check_model
from modelstack.program.config.settings import Settings
from modelstack.services.platform_registry import platform


async def declare(config: Mapping[str, str], stack: str) -> None:
    """Check the model and the config, then declare the stack."""
    check_model()
    settings = Settings.load(config, stack)
    await platform(settings.platform).use("declare")(settings, stack)
