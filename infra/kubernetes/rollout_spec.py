"""What the controller is told of an endpoint: where it is, and what is measured of it, by the config. Pure."""

from __future__ import annotations

from infra.config.settings import Settings
from platforms.kubernetes.measuring import Measuring
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


def measuring(settings: Settings) -> Measuring:
    """What the controller measures."""
    monitoring = settings.monitoring
    return Measuring(
        drift_minutes=monitoring.drift_minutes,
        drift_false_alarms=monitoring.drift_false_alarms,
        labels_minutes=monitoring.labels_minutes,
        labels_days=monitoring.labels_days,
        max_loss_rise=monitoring.max_loss_rise,
        concept_false_alarms=monitoring.concept_false_alarms,
        segments=tuple(monitoring.segments),
        requests_days=settings.retention.requests_days,
        probe_minutes=settings.slo.probe_minutes or 0,
    )
