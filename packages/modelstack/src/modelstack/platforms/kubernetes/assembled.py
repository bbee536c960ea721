"""The controller of an endpoint with its ports, for the controller's pod, an update, and the command line.

Any number may run at once on any machine: the journal coordinates them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import httpx

from modelstack.monitoring.alarms.outage import Outage
from modelstack.platforms.kubernetes.alarm_states import PrometheusAlarms
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.captures import Captures
from modelstack.platforms.kubernetes.counters import PrometheusCounters
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.gateway import entrance
from modelstack.platforms.kubernetes.guarded import GuardedMoves
from modelstack.platforms.kubernetes.invoke import GatewayInvoke
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.metrics import cluster, copies
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.platforms.kubernetes.workloads import happened
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.controller.ports import Clock, Journal, Notify, Signals
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.replay import NONE
from modelstack.rollout.core.state import Replayed, RolloutState
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.replay import replay
from modelstack.services.signals import CountedSignals

_FRESH = 2.0  # seconds for which it is known which workloads serve a variant
_REPLAY_TIMEOUT = httpx.Timeout(60.0, connect=3.0)  # a model on SageMaker has 60 s


@dataclass(frozen=True)
class Assembled:
    """An endpoint's controller, and the ports that others use too. `signals` live as long as a trial is observed."""

    controller: Controller
    journal: Journal
    signals: Signals
    alarms: JudgedAlarms
    outage: Outage


def spec_of(api: Api, name: str) -> RolloutSpec:
    """The spec of a Rollout; raises NotFound, or RolloutError if a field is missing or wrong."""
    return RolloutSpec.from_dict(api.get(ROLLOUT, name).get("spec") or {})


def assembled(
    api: Api,
    name: str,
    spec: RolloutSpec,
    *,
    by: str = "",
    notify: Notify | None = None,
    database: Database | None = None,
    prometheus: Prometheus | None = None,
    signals: Signals | None = None,
) -> Assembled:
    """Assemble the controller of a Rollout.

    Args:
        api: The API server, for the endpoint's namespace.
        name: The Rollout's name.
        spec: The Rollout's spec.
        by: The user for the audit record; empty if unknown.
        notify: None leaves the events to a controller that can send them.
        database: The captures; without it the replay waits for a controller that can reach it.
        prometheus: None connects to the spec's Prometheus.
        signals: None creates new ones.
    """
    clock = api.clock
    prometheus = prometheus or Prometheus(api.reach(spec.prometheus))
    journal = copied_journal(api, name, by)
    clusters = Clusters(journal, api.namespace, clock)
    counters = PrometheusCounters(prometheus, api.namespace, name, clusters, spec.capture_percent / 100)
    signals = signals or CountedSignals(counters)
    alarms = JudgedAlarms(PrometheusAlarms(prometheus, api.namespace, name, clock.time), counters, clock)
    traffic = RouteTraffic(api, name, clock, spec.sticky_header)
    controller = Controller(
        traffic=traffic,
        signals=signals,
        alarms=alarms,
        journal=journal,
        registry=ModelPackages(api, clock=clock),
        replay=GatewayReplay(api, database, name, spec),
        clock=clock,
        notify=notify,
        mover=GuardedMoves(traffic.store, journal, alarms),
        instances=lambda release, since: happened(api, release.config_name, since),
    )
    return Assembled(controller, journal, signals, alarms, Outage(alarms.numbers, Outbox(journal, notify, clock)))


@dataclass
class Clusters:
    """Envoy clusters of a variant, by the releases in the journal. Shadow copies have a cluster of their own."""

    journal: Journal
    namespace: str
    clock: Clock
    _read: tuple[float, RolloutState] | None = None

    def __call__(self, variant: str) -> tuple[str, ...]:
        """The clusters of a variant."""
        read = self._read
        if read is None or not 0 <= self.clock.time() - read[0] < _FRESH:
            read = self._read = (self.clock.time(), self.journal.read())
        state = read[1]
        served = [one.config_name for one in state.releases() if one.variant == variant]
        found = tuple(cluster(self.namespace, workload) for workload in served)
        if state.challenger is not None and state.challenger.variant == variant:
            return (*found, *copies(self.namespace, state.endpoint))
        return found


@dataclass(frozen=True)
class GatewayReplay:
    """`Replay` through the gateway of an endpoint. Without a database, the caller cannot replay."""

    api: Api
    database: Database | None
    endpoint: str
    spec: RolloutSpec

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the latest captured requests, if there are any.

        Raises Busy outside the cluster's controller, or if the gateway does not route to the variant by name yet.
        """
        if not self.api.in_cluster or self.database is None:
            raise Busy("the controller in the cluster replays")
        latest = partial(Captures(self.database, self.endpoint).latest, champion, requests)
        there = entrance(self.api, self.spec.gateway, self.spec.host, self.spec.ca_config_map)
        with there.client(_REPLAY_TIMEOUT) as client:
            return replay(latest, GatewayInvoke(client), champion=champion, challenger=challenger, before=before)
