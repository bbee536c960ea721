"""What the controller is told of an endpoint: where it is, and what is measured of it, by the config. Pure."""

from __future__ import annotations

from infra.config.settings import Settings
from infra.plan.measured import measuring
from platforms.kubernetes.names import Names
from platforms.kubernetes.spec import RolloutSpec


def rollout_spec(settings: Settings, names: Names, sticky_header: str) -> RolloutSpec:
    """The spec of the Rollout.

    Args:
        settings: The stack's config.
        names: The stack's names.
        sticky_header: The header that decides which version answers; empty when none does.
    """
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
