"""AWS, as `modelstack.services.platform_registry` finds it."""

from __future__ import annotations

from modelstack.services.platform_registry import Platform

PLATFORM = Platform(
    name="aws",
    stack="modelstack.program.aws.stack:read",
    problems="modelstack.program.aws.config_checks:problems",
    champion="modelstack.program.aws.source:champion",
    origin="modelstack.platforms.aws.package_registry:origin_of",
    provider_problems="modelstack.program.aws.target:provider_problems",
    begin="modelstack.program.aws.caller:request_caller",
    operator="modelstack.cli.platform.aws.platform:Aws",
)
