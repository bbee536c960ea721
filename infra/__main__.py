"""Entry point of the Pulumi program. `infra/aws/program.py` and `infra/kubernetes/program.py` declare the resources."""

from __future__ import annotations

import pulumi
from pulumi.runtime.config import CONFIG

from infra.config.checkout import check_model
from infra.config.settings import Settings
from services.platform_registry import platform


async def main() -> None:
    """Declare the stack on the platform that its config names. The SDK of another platform is not loaded."""
    stack = pulumi.get_stack()
    check_model()
    settings = Settings.load(CONFIG.get(), stack)
    await platform(settings.platform).use("declare")(settings, stack)


if __name__ == "__main__":
    pulumi.run(main)
