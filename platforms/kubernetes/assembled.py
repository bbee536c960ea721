"""The controller of an endpoint with its ports, for the controller's pod, an update, and the command line.

Any number may run at once on any machine: the journal coordinates them.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alarms.outage import Outage
from platforms.kubernetes.alarm_states import PrometheusAlarms
from platforms.kubernetes.api import Api
from platforms.kubernetes.controller import controller
from platforms.kubernetes.counters import PrometheusCounters
from platforms.kubernetes.database import Database
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import ROLLOUT
from platforms.kubernetes.metrics import cluster, copies
from platforms.kubernetes.prometheus import Prometheus
from platforms.kubernetes.replay import GatewayReplay
from platforms.kubernetes.spec import RolloutSpec
from rollout.controller.controller import Controller
from rollout.controller.outbox import Outbox
from rollout.controller.ports import Clock, Journal, Notify, Signals
from rollout.core.state import RolloutState
from services.alarms import JudgedAlarms
from services.signals import CountedSignals

_FRESH = 2.0  # seconds for which it is known which workloads serve a variant


@dataclass(frozen=True)
class Assembled:
    """An endpoint's controller, and the ports that others use too. `signals` live as long as a trial is observed."""

    controller: Controller
    journal: KubernetesJournal
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
    clock: Clock | None = None,
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
        clock: None is the API server's.
    """
    clock = clock or api.clock
    prometheus = prometheus or Prometheus(api.reach(spec.prometheus))
    journal = KubernetesJournal(api, name, by)
    clusters = Clusters(journal, api.namespace, clock)
    counters = PrometheusCounters(prometheus, api.namespace, name, clusters, spec.capture_percent / 100)
    signals = signals or CountedSignals(counters)
    alarms = JudgedAlarms(PrometheusAlarms(prometheus, api.namespace, name, clock.time), counters)
    return Assembled(
        controller(
            api,
            name,
            signals=signals,
            alarms=alarms,
            replay=GatewayReplay(api, database, name, spec),
            notify=notify,
            by=by,
            sticky=spec.sticky_header,
            clock=clock,
        ),
        journal,
        signals,
        alarms,
        Outage(alarms.numbers, Outbox(journal, notify, clock)),
    )


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
