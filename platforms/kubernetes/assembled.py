"""All that drives an endpoint on Kubernetes, put together once: for the controller in the cluster, an update, a person.

    endpoint = assembled(api, "flight-delay-prod", spec_of(api, "flight-delay-prod"), by="ada")
    endpoint.controller.status()

Any number of these may be at work at once, on any machine: they agree through the journal.
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
    """An endpoint's controller, and the ports of it that others use too.

    Attributes:
        controller: The controller.
        journal: The journal.
        signals: The observations; it remembers windows, so one is kept for as long as a trial is looked at.
        alarms: What rings.
        outage: Finds out whether the champion fails as the challenger does.
    """

    controller: Controller
    journal: KubernetesJournal
    signals: Signals
    alarms: JudgedAlarms
    outage: Outage


def spec_of(api: Api, name: str) -> RolloutSpec:
    """What the Rollout of this name says of its endpoint.

    Raises:
        NotFound: There is none.
        RolloutError: A field of it is missing or wrong.
    """
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
    """What drives the endpoint of a Rollout.

    Args:
        api: The API server, for the endpoint's namespace.
        name: The Rollout's name.
        spec: What it says.
        by: Who acts; the audit record tells it. Empty when nobody knows.
        notify: Tells people; None leaves the events to a controller that can.
        database: Where captures are kept; None of who cannot reach it. The replay then waits for one who can.
        prometheus: A client of the spec's Prometheus that exists already; None makes one.
        signals: The observations, where somebody has read some already.
        clock: Time; None is the API server's.
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
    """By which clusters of Envoy a variant is served: those of all releases that the journal tells of it.

    Copies of requests go to the challenger by a cluster of their own.

    Attributes:
        journal: The journal.
        namespace: Where the workloads are.
        clock: Time.
    """

    journal: Journal
    namespace: str
    clock: Clock
    _read: tuple[float, RolloutState] | None = None

    def __call__(self, variant: str) -> tuple[str, ...]:
        """The clusters of a variant.

        Raises:
            RolloutError: The journal cannot be read.
        """
        read = self._read
        if read is None or not 0 <= self.clock.time() - read[0] < _FRESH:
            read = self._read = (self.clock.time(), self.journal.read())
        state = read[1]
        served = [one.config_name for one in state.releases() if one.variant == variant]
        found = tuple(cluster(self.namespace, workload) for workload in served)
        if state.challenger is not None and state.challenger.variant == variant:
            return (*found, *copies(self.namespace, state.endpoint))
        return found
