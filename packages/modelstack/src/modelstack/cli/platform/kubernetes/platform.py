"""The commands' adapter for an endpoint on Kubernetes.

While Prometheus does not answer, its metrics are empty and an alarm fires.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.facts import AlarmInFull, EndpointState, QualityView, ServedView, Spent
from modelstack.cli.platform.kubernetes import alarms
from modelstack.cli.platform.kubernetes.cluster import connect
from modelstack.cli.platform.port import Platform
from modelstack.monitoring.objectives.slo import Objective
from modelstack.monitoring.predictions import Prediction, Searched, Window
from modelstack.monitoring.published import DELAY
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.controller_client import ControllerClient
from modelstack.platforms.kubernetes.gateway import Entrance, entrance
from modelstack.platforms.kubernetes.invoke import GatewayInvoke
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, ROLLOUT
from modelstack.platforms.kubernetes.metrics import cluster, matched, series, whose
from modelstack.platforms.kubernetes.names import ENDPOINT, VARIANT
from modelstack.platforms.kubernetes.prediction_query import PredictionQuery
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.state import RolloutState

if TYPE_CHECKING:
    from modelstack.cli.platform.kubernetes.graphs import PrometheusGraphs
    from modelstack.cli.platform.package_store import PackageStore
    from modelstack.platforms.kubernetes.approvals import PackageApprovals
    from modelstack.platforms.kubernetes.assembled import Assembled
    from modelstack.rollout.controller.controller import Controller
    from modelstack.rollout.controller.ports import Signals

_STATUS = {"ready": "InService", "changing": "Updating", "failed": "Failed"}


class Kubernetes(Platform):
    """`Platform` over the objects of one namespace, a gateway and a Prometheus."""

    def api(self) -> Api:
        """The API server."""
        return self.target.once("api", lambda: connect(self.target.context, self.target.namespace))

    def prometheus(self) -> Prometheus:
        """The endpoint's Prometheus."""
        url = self.target.output("prometheus_url")
        return self.target.once("prometheus", lambda: Prometheus(self.api().reach(url)))

    def state(self) -> RolloutState:
        with explained(f"reading the journal of {self.target.endpoint}"):
            return copied_journal(self.api(), self.target.endpoint).read()

    def endpoint(self) -> EndpointState:
        """From the route and its workloads."""
        with explained(f"reading endpoint {self.target.endpoint}"):
            live = RouteTraffic(self.api(), self.target.endpoint).read()
            images = {item.variant: item.image for item in self._workloads()}
        return EndpointState(_STATUS[live.status] if live.config else "Creating", live, images)

    def next_image(self, configured: str | None, taken: str | None) -> str | None:
        """Not supported: an update resolves the image to its digest, which is not known before."""
        why = "--next finds what an update releases on AWS alone so far"
        raise OperatorError(why, "Name the release or the rollout, as in: modelstack watch 77c1aa20b3f1 --for 3600", 2)

    def _workloads(self) -> list[_Workload]:
        return [_Workload.of(item) for item in self.api().list(DEPLOYMENT, {ENDPOINT: self.target.endpoint})]

    def clusters(self) -> dict[str, tuple[str, ...]]:
        """Variant -> Envoy clusters of its workloads, both deployed and in the journal."""
        with explained(f"reading the workloads of {self.target.endpoint}"):
            known = {item.name: item.variant for item in self._workloads()}
        known |= {release.config_name: release.variant for release in self.state().releases()}
        found: dict[str, tuple[str, ...]] = {}
        for workload, variant in known.items():
            found[variant] = (*found.get(variant, ()), cluster(self.target.namespace, workload))
        return found

    def alarms_in_full(self) -> list[AlarmInFull]:
        try:
            with explained("reading the alarms"):
                found = alarms.read(self.prometheus(), self.target.namespace, self.target.endpoint)
        except OperatorError as error:
            if not isinstance(error.__cause__, Unreachable):
                raise
            return [alarms.blind(self.target.endpoint, str(error.__cause__))]
        if found or self.state().champion is None:
            return found
        why = (
            f"Prometheus has no rule of the endpoint. Its rules are in {self.registry_name()}-rules; if that is gone, "
            f"this makes it again: {self.target.commands.pulumi_up} --refresh"
        )
        return [alarms.blind(self.target.endpoint, why)]

    def versions(self) -> ModelPackages:
        """The stack's ModelPackages in its namespace."""
        return ModelPackages(self.api(), self.target.endpoint)

    def package_store(self) -> PackageStore:
        from modelstack.cli.platform.package_store import PackageStore  # noqa: PLC0415 - few commands need it
        from modelstack.platforms.kubernetes.package_store import ClusterPackageStore  # noqa: PLC0415

        target = self.target
        store = ClusterPackageStore(target.outputs.get("registry") or "", target.outputs.get("bucket"))
        return PackageStore(store, self.versions(), self.state)

    def registry_name(self) -> str:
        return f"{self.target.namespace}/{self.target.endpoint}"

    def served(self, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
        from modelstack.cli.platform.kubernetes import counted  # noqa: PLC0415 - few commands need it

        known = self.clusters()
        clusters = {variant: known[variant] for variant in variants if variant in known}
        with suppress(Unreachable):
            return counted.served(self.prometheus(), clusters, start, end)
        return []

    def spent(self, objective: Objective) -> Spent | None:
        from modelstack.cli.platform.kubernetes import counted  # noqa: PLC0415 - few commands need it

        with explained("reading the error budgets"), suppress(Unreachable):
            return counted.spent(self.prometheus(), self.target.namespace, self.target.endpoint, objective, time.time())
        return None

    def quality(self, variants: Sequence[str]) -> tuple[QualityView, ...]:
        """As last summed up by the controller; empty if it does not answer, so that a caller still sees the rest."""
        try:
            told = self.client().standings(self.target.endpoint, variants)
            found = [QualityView.of(variant, told[variant]) for variant in variants if variant in told]
        except (RolloutError, KeyError, TypeError, ValueError):
            return ()
        return tuple(item for item in found if item.says_anything)

    def bring_labels(self, name: str, content: bytes) -> str:
        """Send to the controller, which stores it in PostgreSQL."""
        with explained("sending labels"):
            return self.client().bring_labels(self.target.endpoint, name, content)

    def records(self) -> list[str]:
        with explained(f"reading the audit record of {self.target.endpoint}"):
            return list(self.client().records(self.target.endpoint))

    def prediction(self, word: str, window: Window) -> Searched:
        exact: dict[Prediction, None] = {}
        begun: dict[Prediction, None] = {}
        files, oldest, percent, endpoint = 0, None, None, self.target.endpoint
        with explained("looking for a prediction"):
            for part in self.client().predictions(endpoint, PredictionQuery(word, window=window)):
                exact |= dict.fromkeys(map(Prediction.from_dict, part["exact"]))
                begun |= dict.fromkeys(map(Prediction.from_dict, part["begun"]))
                files += part["files"]
                oldest = part["oldest"] or oldest
        if not exact and not begun:
            with suppress(RolloutError):
                percent = RolloutSpec.from_dict(self.api().get(ROLLOUT, endpoint)["spec"]).capture_percent
        places = ("the ledger of labels and the event ids in PostgreSQL", f"{files:,} files of captures there")
        return Searched(tuple(exact), tuple(begun), places, oldest=oldest, percent=percent)

    def client(self) -> ControllerClient:
        """A client of the namespace's controller."""
        return self.target.once("controller", lambda: ControllerClient.of(self.api()))

    def graphs(self) -> PrometheusGraphs:
        from modelstack.cli.platform.kubernetes.graphs import PrometheusGraphs  # noqa: PLC0415 - the console alone needs it

        return PrometheusGraphs(self.target, self.prometheus, self.clusters)

    def kept_aside(self, names: Iterable[str], seconds: float) -> Mapping[str, float]:
        found: dict[str, float] = {}
        with explained("reading what was kept aside"), suppress(Unreachable):
            for name in names:
                counter = matched(f"{series(name)}_total", whose(self.target.namespace, self.target.endpoint))
                query = f"sum(max without (instance, pod) (increase({counter}[{seconds:.0f}s])))"
                found[name] = sum(value for _, value in self.prometheus().values(query, time.time()))
        return found

    def delay(self) -> float:
        gauge = matched(f"{series(DELAY)}_seconds", whose(self.target.namespace, self.target.endpoint))
        with explained("reading how late captures are counted"), suppress(Unreachable):
            return next((value for _, value in self.prometheus().values(f"max({gauge})", time.time())), 0.0)
        return 0.0

    def signals(self) -> Signals:
        return self._assembled().signals

    def controller(self, who: str = "", signals: Signals | None = None) -> Controller:
        """See `Platform`. Sends no notifications: the controller in the cluster does, from the journal."""
        return self._assembled(who, signals).controller

    def _assembled(self, by: str = "", signals: Signals | None = None) -> Assembled:
        from modelstack.platforms.kubernetes.assembled import assembled, spec_of  # noqa: PLC0415 - it loads the judge

        api, name = self.api(), self.target.endpoint
        with explained(f"reading Rollout {name}"):
            return assembled(api, name, spec_of(api, name), by=by, prometheus=self.prometheus(), signals=signals)

    def caller(self) -> str:
        with suppress(OperatorError, RolloutError):
            return self.api().user()
        return ""

    def approvals(self) -> PackageApprovals:
        from modelstack.platforms.kubernetes.approvals import PackageApprovals  # noqa: PLC0415 - few commands need it

        return PackageApprovals(self.api(), self.target.endpoint)

    def invoke(self, at_once: int = 1) -> GatewayInvoke:
        return GatewayInvoke(self._entrance().client(httpx.Timeout(65, connect=3), at_once))

    def url(self) -> tuple[str, str, ssl.SSLContext | bool]:
        there = self._entrance()
        return there.url, there.host, there.verify

    def _entrance(self) -> Entrance:
        outputs = self.target.outputs
        named = [str(outputs.get(name) or "") for name in ("host", "ca_config_map")]
        with explained(f"looking where endpoint {self.target.endpoint} answers"):
            return entrance(self.api(), self.target.output("gateway"), *named)


@dataclass(frozen=True)
class _Workload:
    """A Deployment that serves a variant, with the image of its first container."""

    name: str
    variant: str
    image: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> _Workload:
        """Read a Deployment."""
        template, labels = item["spec"]["template"], item["metadata"].get("labels") or {}
        variant = labels.get(VARIANT) or (template["metadata"].get("labels") or {}).get(VARIANT, "")
        return cls(item["metadata"]["name"], variant, template["spec"]["containers"][0]["image"])
