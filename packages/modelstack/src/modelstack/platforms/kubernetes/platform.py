"""The Kubernetes platform for `modelstack.services.platform_registry`."""

from __future__ import annotations

from modelstack.services.platform_registry import Platform

PLATFORM = Platform(
    name="kubernetes",
    stack="modelstack.program.kubernetes.stack:read",
    problems="modelstack.program.kubernetes.config_checks:problems",
    champion="modelstack.program.kubernetes.source:champion",
    origin="modelstack.platforms.kubernetes.package_store:origin_of",
    operator="modelstack.cli.platform.kubernetes.platform:Kubernetes",
)
