"""What a stack consists of on the platform that its config names. The SDK of another platform is not loaded."""

from __future__ import annotations

from collections.abc import Mapping

from modelstack.program.config.checkout import check_metrics, check_model
from modelstack.program.config.settings import Settings
from modelstack.program.stack import Model, Stack
from modelstack.services.platform_registry import platform


async def read(config: Mapping[str, str], stack: str) -> Stack[Model]:
    """Check the model, the project's own metrics and the config, then read what is live."""
    check_model()
    check_metrics()
    settings = Settings.load(config, stack)
    return await platform(settings.platform).use("stack")(settings, stack)
