"""How a stack's outputs are exported, and those of what serves, which are the same on every platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.runtime import rpc

from infra.config.settings import Settings
from infra.package import Package
from infra.trial import Rollout
from monitoring.objectives.slo import Objective
from services.declaration.panels import OUTPUT


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


def of_objective(objective: Objective, settings: Settings) -> dict[str, Any]:
    """What users are promised, and what the panels of the console depend on."""
    return {"slo": objective.as_dict(), OUTPUT: settings.monitoring.panels(objective).to_output()}


def export(outputs: Mapping[str, Any], names: Sequence[str]) -> None:
    """Export every output of a stack, in order; the ones that are not given, and empty ones, as null.

    Raises:
        ValueError: An output has none of the names.
    """
    unknown = outputs.keys() - set(names)
    if unknown:
        raise ValueError(f"no such stack output: {', '.join(sorted(unknown))}")
    for name in names:
        pulumi.export(name, pulumi.Output.from_input(outputs.get(name)).apply(_or_null))


def _or_null(value: Any) -> Any:
    """The SDK leaves out an output whose value is None; in this form of the wire protocol it arrives as null."""
    if value not in (None, "", {}):
        return value
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": None}  # noqa: SLF001
