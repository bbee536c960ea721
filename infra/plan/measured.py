"""Metrics of an endpoint, by the config."""

from __future__ import annotations

from infra.config.settings import Settings
from services.measuring import Measuring


def measuring(settings: Settings) -> Measuring:
    """The measurement settings of a stack's endpoint."""
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
