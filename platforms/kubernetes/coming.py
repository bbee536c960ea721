"""How far a config is that is asked for and cannot serve yet: what it waits for, and when it counts as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from platforms.kubernetes.api import Api
from platforms.kubernetes.autoscaled import before_taking_over
from platforms.kubernetes.guarded import pods_of
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.route import PendingConfig, Route
from platforms.kubernetes.route_store import RouteStore
from platforms.kubernetes.serving_config import ServingConfig
from platforms.kubernetes.workloads import Lacking, deadline_of, lacking, ready_endpoints
from rollout.core.errors import Busy
from rollout.core.state import Phase, RolloutState

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


def coming_up(
    api: Api, asked: PendingConfig, wanted: ServingConfig | None, ready: Mapping[str, int], now: float
) -> Coming:
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
    found = [lacking(api, item, asked.began) for item in wanted.backends if not ready[item.workload]]
    if not found:
        return _in_number(api, asked, wanted.champion.workload, ready, now)
    patience = max(item.deadline for item in found) + _MARGIN
    failing = [item for item in found if item.final] or (found if now - asked.since > patience else [])
    if failing:
        return Coming(failure=_shared(failing) if len(failing) > 1 else failing[0].words)
    return Coming("; ".join(item.words for item in found), asked_enough=now - asked.at > patience / _PARTS)


def asked_now(
    store: RouteStore, route: Route, wanted: tuple[str, ServingConfig | None], ready: Mapping[str, int]
) -> PendingConfig:
    """What is noted of a config, by its name, that is asked for and cannot serve yet.

    One that failed begins anew, and so does one that only an earlier rollout asked for.

    Raises:
        Busy: Another controller has just asked for it. So however many look at once, it is asked for once a while.
    """
    (name, config), before, now = wanted, route.asked, store.clock.time()
    state = KubernetesJournal(store.api, store.name).read()
    if before is None or before.config != name or not before.counts_in(state):
        return PendingConfig(name, now, now, began=state.started_at)
    coming = coming_up(store.api, before, config, ready, now)
    if coming.pending and not coming.asked_enough:
        raise Busy(f"config {name} was asked for a moment ago: {coming.pending}")
    return PendingConfig(name, now if coming.failure else before.since, now, began=state.started_at)


def pods_to_take_over(store: RouteStore, route: Route, config: ServingConfig) -> int:
    """How many pods a release is to have before it takes over without a trial; 0 when no number is waited for.

    As many as serve, or as it is to have if that is less; and no longer than its Deployment may take. The number does
    not grow while it is waited for: else it would never be reached under a load that grows. No way back waits: only the
    journal tells one from a release.
    """
    before, workload = store.serving(route), config.champion.workload
    if before is None or before.champion.workload == workload:
        return 0
    state = KubernetesJournal(store.api, store.name).read()
    if state.phase is not Phase.MOVING:
        return 0
    late = store.clock.time() - state.started_at > deadline_of(store.api, workload) + _MARGIN
    serve = ready_endpoints(store.api, [before.champion.workload])[before.champion.workload]
    if late or not serve:
        return 0
    wants = before_taking_over(store.api, workload, serve)
    wants = min(pods_of(store, workload), serve) if wants is None else wants
    noted = route.asked.pods if route.asked is not None and route.asked.config == config.name else 0
    return min(wants, noted or wants)


def still_waited(state: RolloutState, asked: PendingConfig, serve: int) -> PendingConfig:
    """What is asked for, without its number of pods once that is waited for no more.

    Args:
        state: The journal.
        asked: What is asked for.
        serve: How many pods of what serves are ready.
    """
    waits = asked.pods and serve and state.phase is Phase.MOVING
    return asked if waits else replace(asked, pods=0)


def _in_number(api: Api, asked: PendingConfig, workload: str, ready: Mapping[str, int], now: float) -> Coming:
    """How far one is whose pods are ready, but perhaps too few."""
    if ready[workload] >= asked.pods:
        return UP
    words = f"workload {workload} has {ready[workload]} of the {asked.pods} pods that are to take over"
    return Coming(words, asked_enough=now - asked.at > (deadline_of(api, workload) + _MARGIN) / _PARTS)


def _shared(failing: Sequence[Lacking]) -> str:
    """Of several that do not come up at once. It names no variant: the cause is probably not one of them."""
    words = ", ".join(sorted({item.short for item in failing}))
    return f"{len(failing)} workloads do not come up at once: {words}"
