"""Export of stack outputs, and the outputs that are the same on every platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.runtime import rpc

from modelstack.monitoring.objectives.slo import Objective
from modelstack.program.config.settings import Settings
from modelstack.program.package import Package
from modelstack.program.trial import Rollout
from modelstack.services.declaration.panels import OUTPUT


def of_champion(package: Package, rollout: Rollout) -> dict[str, Any]:
    """Outputs of the serving release. A refused or rolled back package, or one on trial, is no champion."""
    same = pulumi.Output.all(rollout.champion, package.package_digest).apply(lambda both: both[0] == both[1])
    return {
        "package_digest": rollout.champion,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "release": rollout.release,
        "signing_key": package.signed_by,
        "metrics": same.apply(lambda is_champion: package.metrics if is_champion else rollout.metrics),
    }


def of_objective(objective: Objective, settings: Settings) -> dict[str, Any]:
    """The service-level objective, and the settings of the console's panels."""
    return {"slo": objective.as_dict(), OUTPUT: settings.panels(objective).to_output()}


def export(outputs: Mapping[str, Any], names: Sequence[str]) -> None:
    """Export all stack outputs in the order of `names`; missing and empty ones as null."""
    unknown = outputs.keys() - set(names)
    if unknown:
        raise ValueError(f"no such stack output: {', '.join(sorted(unknown))}")
    for name in names:
        pulumi.export(name, pulumi.Output.from_input(outputs.get(name)).apply(_or_null))


def _or_null(value: Any) -> Any:
    """The SDK drops an output whose value is None. In this wire format it arrives as null."""
    if value not in (None, "", {}):
        return value
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": None}  # noqa: SLF001
