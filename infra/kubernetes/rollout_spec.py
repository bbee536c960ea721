"""The spec of a Rollout."""

from __future__ import annotations

from infra.config.settings import Settings
from infra.plan.measured import measuring
from platforms.kubernetes.names import Names
from platforms.kubernetes.spec import RolloutSpec


def rollout_spec(settings: Settings, names: Names, sticky_header: str) -> RolloutSpec:
    """The spec of the Rollout; `sticky_header` selects the version, and is empty if none does."""
    gateway = settings.kubernetes.gateway
    return RolloutSpec(
        stack=names.stack,
        model=names.model,
        gateway=gateway.name or names.prefix,
        host=gateway.host or "",
        ca_config_map=gateway.ca_config_map or "",
        prometheus=settings.kubernetes.prometheus or "",
        period_seconds=settings.monitoring.period_seconds,
        capture_percent=settings.serving.capture_percent,
        sticky_header=sticky_header,
        measuring=measuring(settings),
    )
