"""Readiness of a requested config: what it waits for, and when it counts as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.autoscaled import before_taking_over
from modelstack.platforms.kubernetes.guarded import pods_of
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.route import PendingConfig, Route
from modelstack.platforms.kubernetes.route_store import RouteStore
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.platforms.kubernetes.workloads import Lacking, deadline_of, lacking, ready_endpoints
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.state import Phase, RolloutState

_MARGIN = 30.0  # seconds beyond a Deployment's own deadline
_PARTS = 5  # in which that time is waited; a rollout gives a config up that it asked for six times


@dataclass(frozen=True)
class Coming:
    """Readiness of a requested config: what it waits for, or why it has failed; both empty if it is ready.

    After `asked_enough` another caller may make a new request.
    """

    pending: str = ""
    failure: str = ""
    asked_enough: bool = False


def coming_up(
    api: Api, asked: PendingConfig, wanted: ServingConfig | None, ready: Mapping[str, int], now: float
) -> Coming:
    """Readiness of a config: it fails on an error that does not pass by itself, or when its time is over.

    `wanted` is None if the config does not exist; `ready` are the ready endpoints by workload.
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
    """The request to store for a config that cannot serve yet; it starts again after a failure or an earlier rollout.

    Raises:
        Busy: Another controller has just stored a request: several controllers make only one at a time.
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
    """The number of pods that a release waits for before it takes over without a trial; 0 for none.

    It is the number that serves now, or the release's own if that is less, for at most its Deployment's deadline. It
    does not grow meanwhile: under a growing load it would never be reached. A rollback never waits.
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
    """The request, without its number of pods if that is no longer waited for. `serve`: ready pods of the champion."""
    waits = asked.pods and serve and state.phase is Phase.MOVING
    return asked if waits else replace(asked, pods=0)


def _in_number(api: Api, asked: PendingConfig, workload: str, ready: Mapping[str, int], now: float) -> Coming:
    """Readiness of a config whose pods are ready, but perhaps too few."""
    if ready[workload] >= asked.pods:
        return Coming()
    words = f"workload {workload} has {ready[workload]} of the {asked.pods} pods that are to take over"
    return Coming(words, asked_enough=now - asked.at > (deadline_of(api, workload) + _MARGIN) / _PARTS)


def _shared(failing: Sequence[Lacking]) -> str:
    """The message for several failures at once. It names no variant, as the cause is probably a shared one."""
    words = ", ".join(sorted({item.short for item in failing}))
    return f"{len(failing)} workloads do not come up at once: {words}"
