"""Stack outputs on AWS."""

from __future__ import annotations

from typing import Any

from infra.aws.registry import Registry
from infra.aws.rollback import Rollback
from platforms.aws.names import Names

NAMES = (
    "endpoint_name",
    "region",
    "package_group",
    "package_digest",
    "champion",
    "challenger",
    "artifact_bucket",
    "dashboard_url",
    "rollback_function",
    "journal_table",
    "container_repository",
    "alerts_topic",
    "release",
    "metrics",
    "signing_key",
    "signing_key_arn",
    "slo",
    "panels",
    "awaits",
    "promotion_role",
    "audit_key",
)


def of_registry(names: Names, registry: Registry) -> dict[str, Any]:
    """The outputs of a stack before its first release."""
    return {
        "endpoint_name": names.endpoint,
        "region": names.region,
        "package_group": registry.group.model_package_group_name,
        "artifact_bucket": registry.bucket.bucket,
        "container_repository": registry.repository.repository_url,
        "signing_key_arn": registry.signing_key.arn,
    }


def of_watch(names: Names, rollback: Rollback, endpoint: str | None) -> dict[str, Any]:
    """The outputs of monitoring; `endpoint` is the local cloud's URL, None on AWS."""
    return {
        "dashboard_url": dashboard_url(names.region, names.dashboard, endpoint),
        "rollback_function": rollback.rollback.function.name,
        "journal_table": rollback.journal.name,
        "alerts_topic": rollback.alerts.arn,
        "audit_key": rollback.audit_key.arn,
    }


def dashboard_url(region: str, name: str, endpoint: str | None) -> str:
    """The dashboard's URL; in the local cloud, its body's."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/_localcloud/dashboards/{name}"
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
