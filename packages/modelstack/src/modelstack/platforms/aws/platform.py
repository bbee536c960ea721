"""AWS, as `services.platform_registry` finds it."""

from __future__ import annotations

from services.platform_registry import Platform

PLATFORM = Platform(
    name="aws",
    declare="infra.aws.program:declare",
    problems="infra.aws.config_checks:problems",
    champion="infra.aws.source:champion",
    origin="platforms.aws.package_registry:origin_of",
    provider_problems="infra.aws.target:provider_problems",
    begin="infra.aws.caller:request_caller",
    operator="cli.platform.aws.platform:Aws",
)
