"""What every stack says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import rpc

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
)


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
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": None}  # pyright: ignore[reportPrivateUsage]


def dashboard_url(region: str, name: str, endpoint: str | None) -> str:
    """Where a person looks at the dashboard; in the local cloud, where its body can be read."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/_localcloud/dashboards/{name}"
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
