"""The route on a real Envoy Gateway: who answers some hundred keys, step by step, beside a load that loses nothing.

Flagger's affinity pins those alone who met the canary (fluxcd/flagger#1647); here both versions keep their keys.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from modelstack.platforms.kubernetes import attempts, names
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.gateway import url
from modelstack.platforms.kubernetes.kinds import (
    BACKEND_POLICY,
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENVOY_PROXY,
    GATEWAY,
    NAMESPACE,
    PATCH_POLICY,
    POD,
    ROLLOUT,
    ROUTE,
    SERVICE,
)
from modelstack.platforms.kubernetes.metrics import cluster as metrics_name
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.sticky import policy, unsettled
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.workloads import SERVICE_NAME
from modelstack.rollout.core.errors import Busy, RolloutError
from tests.clusters import cluster
from tests.platforms.kubernetes.apiserver import define
from tests.platforms.kubernetes.stage import until
from tests.platforms.kubernetes.world import pair, solo

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.needs("cluster"), pytest.mark.timeout(900)]

CLASS, SYSTEM = "localcluster", "envoy-gateway-system"
ENDPOINT, HEADER, KEYS = "flights", "x-user-id", 200
OLD, NEW = solo("w-old", "v-old"), solo("w-new", "v-new")
PAIR = pair(OLD, NEW)
_PATIENCE = 300.0


@dataclass
class Gateway:
    """An endpoint of two variants behind a gateway of its own, each of which answers with its name."""

    api: Api
    traffic: RouteTraffic
    client: httpx.Client
    challengers: frozenset[str] = frozenset()

    def answers(self, key: str = "") -> str:
        """Who answers a key; without one, anybody."""
        answer = self.client.post("/invocations", headers={HEADER: key} if key else {})
        assert answer.status_code == 200, answer.text
        return answer.text

    def keys(self) -> frozenset[str]:
        """Those that the challenger answers now; all others are the champion's."""
        found = {key: self.answers(key) for key in _KEYS}
        assert {*found.values()} <= {"v-old", "v-new"}
        return frozenset(key for key, variant in found.items() if variant == "v-new")

    def weigh(self, challenger: int) -> frozenset[str]:
        """Give the challenger a weight, and say which keys are its own then."""
        return self.change(lambda: self.traffic.set_weights({"v-old": 100 - challenger, "v-new": challenger}))

    def change(self, act: Any) -> frozenset[str]:
        """Do what changes who answers, and say which keys are the challenger's then, twice the same."""

        def done() -> bool:
            try:
                act()
            except Busy:
                return False
            return self.traffic.read().status == "ready"

        def there() -> bool:
            """The data plane has it: a little later than the gateway says so, and more so on a busy machine."""
            self.challengers = self.keys()
            return self.challengers != began and self.challengers == self.keys()

        began = self.challengers
        until(done, _PATIENCE)
        until(there, _PATIENCE)
        return self.challengers


_KEYS = [f"user-{at}" for at in range(KEYS)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with cluster():
        api = Api.of(CLASS, f"sticky-{uuid.uuid4().hex[:8]}")
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.create(NAMESPACE, {"metadata": {"name": api.namespace, "labels": labels}})
        try:
            yield _declared(api)
        finally:
            api.delete(NAMESPACE, api.namespace)


def _declared(api: Api) -> Gateway:
    proxy = api.get(ENVOY_PROXY, CLASS, namespace=SYSTEM)["spec"]["provider"]["kubernetes"]
    image = proxy["envoyDeployment"]["container"]["image"]
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    api.create(GATEWAY, {"metadata": {"name": "own"}, "spec": {"gatewayClassName": CLASS, "listeners": [listener]}})
    api.apply(ROUTE, {"metadata": {"name": ENDPOINT}, "spec": {"parentRefs": [{"name": "own"}]}}, names.PROGRAM)
    define(api, definitions())
    spec = RolloutSpec("test", "flights", "own", "http://prometheus:9090")
    api.apply(ROLLOUT, {"metadata": {"name": ENDPOINT}, "spec": spec.as_dict()}, names.PROGRAM)
    api.apply(BACKEND_POLICY, attempts.policy(ENDPOINT), names.PROGRAM)
    for config in (OLD, NEW, PAIR):
        content = {names.CONTENT: config.to_json()}
        api.create(CONFIG_MAP, {"metadata": {"name": config.name}, "data": content, "immutable": True})
    for config in (OLD, NEW):
        _workload(api, config.champion.workload, config.champion.variant, image)
    made = RouteTraffic(api, ENDPOINT, sticky=HEADER)

    def serves() -> bool:
        with suppress(Busy):  # it was asked for, and its pods are not ready yet
            made.use_config(PAIR.name)
        live = made.read()
        return live.config == PAIR.name and live.status == "ready"

    until(serves, _PATIENCE)
    found: list[str] = []

    def address() -> str:
        try:
            found[:] = [url(api, "own")]
            return "" if httpx.post(f"{found[0]}/invocations", timeout=5).status_code != 200 else found[0]
        except RolloutError:
            return ""

    return Gateway(api, made, httpx.Client(base_url=until(address, _PATIENCE), timeout=30))


def _workload(api: Api, name: str, variant: str, image: str) -> None:
    """An Envoy that answers by itself: with the name of its variant."""
    selector = {"app": name}
    api.create(CONFIG_MAP, {"metadata": {"name": f"{name}-envoy"}, "data": {"envoy.json": _answering(variant)}})
    container = {
        "name": "model",
        "image": image,
        "command": ["/usr/local/bin/envoy"],
        "args": ["-c", "/etc/own/envoy.json", "--concurrency", "1"],
        "readinessProbe": {"httpGet": {"path": "/", "port": names.PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "own", "mountPath": "/etc/own"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "own", "configMap": {"name": f"{name}-envoy"}}],
    }
    template = {"metadata": {"labels": selector}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": selector}, "template": template}
    api.create(DEPLOYMENT, {"metadata": {"name": name}, "spec": spec})
    ports = [{"port": names.PORT, "targetPort": names.PORT}]
    api.create(SERVICE, {"metadata": {"name": name}, "spec": {"selector": selector, "ports": ports}})


def _answering(text: str) -> str:
    filters = "type.googleapis.com/envoy.extensions.filters"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}
    connections = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "own",
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
    }
    address = {"socket_address": {"address": "0.0.0.0", "port_value": names.PORT}}
    chain = {"filters": [{"name": "http", "typed_config": connections}]}
    return json.dumps({"static_resources": {"listeners": [{"address": address, "filter_chains": [chain]}]}})


@dataclass
class Load:
    """Requests that go on beside all changes, and those that were not answered with 200."""

    asked: int = 0
    lost: list[str] = field(default_factory=list[str])

    @contextmanager
    def on(self, base: str) -> Iterator[None]:
        """Ask until the block ends, half of the requests with a key."""
        ended = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=base, timeout=30) as client:
                while not ended.wait(0.005):
                    key = {HEADER: f"other-{self.asked}"} if self.asked % 2 else {}
                    try:
                        answer = client.post("/invocations", headers=key)
                    except httpx.HTTPError as error:
                        self.lost.append(repr(error))
                        continue
                    self.asked += 1
                    if answer.status_code != 200:
                        self.lost.append(f"{answer.status_code} {answer.text}")

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_keys_stay_with_their_version_move_one_way_and_come_back_and_no_request_is_lost(
    gateway: Gateway, record_property: pytest.RecordProperty
) -> None:
    with pytest.raises(Busy, match="there is no EnvoyPatchPolicy"):
        gateway.traffic.set_weights({"v-old": 90, "v-new": 10})
    gateway.api.apply(
        PATCH_POLICY, policy(ENDPOINT, gateway.api.namespace, "own", ["http"], HEADER), names.PROGRAM
    )  # before there is anything to split, which a patch of weighted clusters alone would be refused for
    until(lambda: unsettled(gateway.api.find(PATCH_POLICY, ENDPOINT), HEADER) == "", _PATIENCE)
    assert gateway.keys() == frozenset()

    load = Load()
    with load.on(str(gateway.client.base_url)):
        few, half = gateway.weigh(10), gateway.weigh(50)
        assert few < half, "none of the challenger's keys goes back while its weight grows"
        assert 0.03 < len(few) / KEYS < 0.2
        assert 0.4 < len(half) / KEYS < 0.6
        assert gateway.weigh(100) == {*_KEYS}
        assert gateway.weigh(0) == frozenset(), "a rollback gives every key to the champion"
        assert gateway.weigh(10) == few, "the next trial has the same keys"
        anybody = [gateway.answers() for _ in range(300)]
        assert gateway.change(lambda: gateway.traffic.use_config(OLD.name)) == frozenset()
        gateway.traffic.use_config(PAIR.name)
        assert gateway.weigh(50) == half
    assert 0.02 < anybody.count("v-new") / len(anybody) < 0.25, "who has no key is decided by the weight, each time"
    record_property("requests", load.asked)
    assert load.lost == []
    assert load.asked > 100


def test_a_request_that_meets_a_pod_that_is_gone_is_answered_by_another_one(gateway: Gateway) -> None:
    """As far as the gateway knows, the pod is there and ready."""
    gateway.change(lambda: gateway.traffic.use_config(OLD.name))
    gone = {"addresses": [_envoy(gateway)], "conditions": {"ready": True}}  # which does not listen on our port
    slice_of = {
        "metadata": {"name": "gone", "labels": {SERVICE_NAME: OLD.champion.workload}},
        "addressType": "IPv4",
        "endpoints": [gone],
        "ports": [{"port": names.PORT, "protocol": "TCP"}],
    }
    gateway.api.create(ENDPOINT_SLICE, slice_of)
    try:
        until(
            lambda: _counted(gateway, "upstream_rq_retry", OLD.champion.workload) if gateway.answers() else 0, _PATIENCE
        )
        assert {gateway.answers() for _ in range(100)} == {"v-old"}
    finally:
        gateway.api.delete(ENDPOINT_SLICE, "gone")


def _counted(gateway: Gateway, name: str, workload: str) -> float:
    """What the gateway counted of a workload's requests."""
    place = f'"{metrics_name(gateway.api.namespace, workload)}"'
    found = [line for line in _told(gateway) if line.startswith(f"envoy_cluster_{name}{{") and place in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def _told(gateway: Gateway) -> list[str]:
    """All metrics of the gateway."""
    return httpx.get(f"http://{_envoy(gateway)}:19001/stats/prometheus", timeout=30).text.splitlines()


def _envoy(gateway: Gateway) -> str:
    """The address of the gateway's pod."""
    owner = {"gateway.envoyproxy.io/owning-gateway-namespace": gateway.api.namespace}
    (pod,) = Api.of(CLASS, SYSTEM).list(POD, owner)
    return str(pod["status"]["podIP"])


def test_each_version_is_counted_by_itself(gateway: Gateway) -> None:
    """A rule with clusters of its own would be counted elsewhere."""
    for config in (OLD, NEW):
        assert _counted(gateway, "upstream_rq_total", config.champion.workload) > KEYS
    ours = f"httproute/{gateway.api.namespace}/"
    assert not [line for line in _told(gateway) if line.startswith("envoy_cluster_upstream_rq_total{") and ours in line]
