"""The Kubernetes platform for `services.platform_registry`."""

from __future__ import annotations

from services.platform_registry import Platform

PLATFORM = Platform(
    name="kubernetes",
    declare="infra.kubernetes.program:declare",
    problems="infra.kubernetes.config_checks:problems",
    champion="infra.kubernetes.source:champion",
    origin="platforms.kubernetes.package_store:origin_of",
    operator="cli.platform.kubernetes.platform:Kubernetes",
)
