"""The Pulumi program. `modelstack/program/aws/program.py` and `modelstack/program/kubernetes/program.py`
declare the resources.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pkgutil import resolve_name

import pulumi
from pulumi.runtime.config import CONFIG

from modelstack.services.platform_registry import DEFAULT, UnknownPlatform, platform


async def main() -> None:
    """Declare the stack. The platform's provider starts while the rest of the program is imported."""
    config = CONFIG.get()
    with suppress(UnknownPlatform):  # which is reported with all that is wrong in the config
        if begin := platform(config.get("modelstack:platform", DEFAULT)).begin:
            await resolve_name(begin)()
    declare = await asyncio.to_thread(resolve_name, "modelstack.program.declaration:declare")
    await declare(config, pulumi.get_stack())
