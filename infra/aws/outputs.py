"""What every stack says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import rpc

from infra.aws.package import Package
from infra.aws.registry import Registry
from infra.aws.rollback import Rollback
from infra.aws.trial import Rollout
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
    "slo",
    "awaits",
    "promotion_role",
    "audit_key",
)


def of_registry(names: Names, registry: Registry) -> dict[str, Any]:
    """Where things are: the outputs that a stack has before its first release."""
    return {
        "endpoint_name": names.endpoint,
        "region": names.region,
        "package_group": registry.group.model_package_group_name,
        "artifact_bucket": registry.bucket.bucket,
        "container_repository": registry.repository.repository_url,
    }


def of_champion(package: Package, rollout: Rollout) -> dict[str, Any]:
    """What serves. A package that was refused, is on trial, or was rolled back is no champion, so it is not told here.

    Args:
        package: The package of the release that the config asks for; it has the metrics when it is the champion's.
        rollout: Knows the champion.
    """
    same = pulumi.Output.all(rollout.champion, package.package_digest).apply(lambda both: both[0] == both[1])
    return {
        "package_digest": rollout.champion,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "release": rollout.release,
        "signing_key": package.signed_by,
        "metrics": same.apply(lambda is_champion: package.metrics if is_champion else rollout.metrics),
    }


def of_watch(names: Names, rollback: Rollback, endpoint: str | None) -> dict[str, Any]:
    """What watches over the champion; `endpoint` is the local cloud's URL, None on AWS."""
    return {
        "dashboard_url": dashboard_url(names.region, names.dashboard, endpoint),
        "rollback_function": rollback.rollback.function.name,
        "journal_table": rollback.journal.name,
        "alerts_topic": rollback.alerts.arn,
        "audit_key": rollback.audit_key.arn,
    }


def export(outputs: Mapping[str, Any]) -> None:
    """Export every output of a stack, in order; the ones that are not given, and empty ones, as null.

    Raises:
        ValueError: A name is not one of `NAMES`.
    """
    unknown = outputs.keys() - set(NAMES)
    if unknown:
        raise ValueError(f"no such stack output: {', '.join(sorted(unknown))}")
    for name in NAMES:
        pulumi.export(name, pulumi.Output.from_input(outputs.get(name)).apply(_or_null))


def _or_null(value: Any) -> Any:
    """The SDK leaves out an output whose value is None; in this form of the wire protocol it arrives as null."""
    if value not in (None, "", {}):
        return value
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": None}  # noqa: SLF001


def dashboard_url(region: str, name: str, endpoint: str | None) -> str:
    """Where a person looks at the dashboard; in the local cloud, where its body can be read."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/_localcloud/dashboards/{name}"
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
