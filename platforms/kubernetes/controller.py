"""The controller of an endpoint on Kubernetes: all the ports, put together.

rollout = controller(api, "flight-delay-prod", signals=…, alarms=…, replay=…)
rollout.status().live.shares()    # {"v-3f2a": 90.0, "v-77c1": 10.0}
"""

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
    """A controller for an endpoint, in the name of whom the API server takes us for.

    Args:
        api: The API server, for the endpoint's namespace.
        endpoint: The name of the Rollout and of the HTTPRoute.
        signals: The observations of both variants.
        alarms: What rings.
        replay: Sends captured requests to a challenger.
        notify: Tells people; None leaves the events in the journal for a controller that can.
        by: Who acts; the audit record tells it. Empty when nobody knows.
        sticky: The header whose value decides which version answers in a trial; empty when none does.
        clock: Time; None is the API server's.
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
