"""The controller of an endpoint on Kubernetes, from its ports."""

from __future__ import annotations

from platforms.kubernetes.api import Api
from platforms.kubernetes.guarded import GuardedMoves
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.traffic import RouteTraffic
from platforms.kubernetes.versions import ModelPackages
from rollout.controller.controller import Controller
from rollout.controller.ports import Alarms, Clock, Notify, Replay, Signals


def controller(
    api: Api,
    endpoint: str,
    *,
    signals: Signals,
    alarms: Alarms,
    replay: Replay,
    notify: Notify | None = None,
    by: str = "",
    sticky: str = "",
    clock: Clock | None = None,
) -> Controller:
    """A controller for an endpoint, acting as the API server's authenticated user.

    `by` is the user for the audit record, empty if unknown. Without `notify`, the events stay for a controller that can
    send them. `sticky` is the header that selects the variant in a trial, empty for none.
    """
    clock = clock or api.clock
    traffic, journal = RouteTraffic(api, endpoint, clock, sticky), KubernetesJournal(api, endpoint, by)
    return Controller(
        traffic=traffic,
        signals=signals,
        alarms=alarms,
        journal=journal,
        registry=ModelPackages(api, clock=clock),
        replay=replay,
        clock=clock,
        notify=notify,
        mover=GuardedMoves(traffic.store, journal, alarms),
    )
