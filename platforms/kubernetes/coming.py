"""How far a config is that is asked for and cannot serve yet: what it waits for, and when it counts as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platforms.kubernetes.api import Api
from platforms.kubernetes.route import Asked
from platforms.kubernetes.serving_config import ServingConfig
from platforms.kubernetes.workloads import Lacking, lacking

_MARGIN = 30.0  # seconds beyond a Deployment's own deadline
_PARTS = 5  # in which that time is waited; a rollout gives a config up that it asked for six times


@dataclass(frozen=True)
class Coming:
    """How far a config is that is asked for.

    Attributes:
        pending: What it waits for; empty when it is ready, or does not come up.
        failure: Why it does not come up.
        asked_enough: Whether it was waited for since it was last asked for, for as long as nobody else should have to.
    """

    pending: str = ""
    failure: str = ""
    asked_enough: bool = False


UP = Coming()
"""Nothing is waited for."""


def coming_up(api: Api, asked: Asked, wanted: ServingConfig | None, ready: Mapping[str, int], now: float) -> Coming:
    """How far it is. It has failed when what keeps it does not pass by itself, or when its time is over.

    Args:
        api: The API server.
        asked: Since when it is asked for.
        wanted: The config; None when there is none of that name.
        ready: Workload -> its ready endpoints.
        now: Epoch seconds.
    """
    if wanted is None:
        return Coming(failure=f"config {asked.config} is not there: no ConfigMap of that name in {api.namespace}")
    found = [lacking(api, item) for item in wanted.backends if not ready[item.workload]]
    if not found:
        return UP
    patience = max(item.deadline for item in found) + _MARGIN
    failing = [item for item in found if item.final] or (found if now - asked.since > patience else [])
    if failing:
        return Coming(failure=_shared(failing) if len(failing) > 1 else failing[0].words)
    return Coming("; ".join(item.words for item in found), asked_enough=now - asked.at > patience / _PARTS)


def asked_now(
    api: Api, before: Asked | None, wanted: tuple[str, ServingConfig | None], ready: Mapping[str, int], now: float
) -> Asked:
    """What is noted of a config, by its name, that is asked for and cannot serve yet; one that failed begins anew."""
    name, config = wanted
    if before is None or before.config != name or coming_up(api, before, config, ready, now).failure:
        return Asked(name, now, now)
    return Asked(name, before.since, now)


def _shared(failing: Sequence[Lacking]) -> str:
    """Of several that do not come up at once. It names no variant: the cause is probably not one of them."""
    words = ", ".join(sorted({item.short for item in failing}))
    return f"{len(failing)} workloads do not come up at once: {words}"
