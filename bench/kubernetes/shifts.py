"""How long it takes from a weight that is asked for until callers see it, with one route and with a hundred."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.bed import BenchError
from bench.kubernetes.arithmetic import quantile
from bench.kubernetes.objects import gateway_of, route_of, service_of
from bench.kubernetes.place import Place, at_once, until
from bench.rows import Row, sized
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.gateway import url
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, ENVOY_PROXY, GATEWAY, ROUTE, SERVICE
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy, RolloutError

_FLIPS, _ROUTES = 100, 100
_PAUSE_S = 0.5  # between two flips
_GATEWAY, _HOST = "shifts", "shifts.example"
_A, _B = Backend("v-a", "shift-a"), Backend("v-b", "shift-b")
_PAIR = ServingConfig("shift-pair", _A, _B)


@dataclass(frozen=True)
class _Took:
    """Milliseconds of each flip: until the API server has it, and until a caller sees it."""

    written: list[float]
    seen: list[float]


def rows(place: Place) -> list[Row]:
    """Flip all traffic from one variant to the other and back, without other load."""
    others = sized(_ROUTES, 3) - 1
    traffic = _declare(place)
    flips = sized(_FLIPS)
    one = _flipped(place, traffic, flips)
    at_once(lambda number: _another(place, number), range(others))
    many = _flipped(place, traffic, flips)
    return [_row("k8s_shift_ms", one, 1), _row("k8s_shift_ms_100_routes", many, others + 1)]


def _row(name: str, took: _Took, routes: int) -> Row:
    def of(values: list[float]) -> str:
        return f"p50 {quantile(values, 0.5):.0f}, p99 {quantile(values, 0.99):.0f}, most {max(values):.0f} ms"

    flips = f"{len(took.seen)} flips of all traffic with {routes} {'route' if routes == 1 else 'routes'}"
    beside = f"p99; {of(took.seen)}, of which until written {of(took.written)}; {flips}"
    return Row(name, round(quantile(took.seen, 0.99)), "ms", "< 500", beside)


def _declare(place: Place) -> RouteTraffic:
    """Two variants that answer at once, and the route between them, with all to the first."""
    api = place.api
    proxy = api.get(ENVOY_PROXY, "localcluster", "envoy-gateway-system")
    image = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["image"]
    for backend in (_A, _B):
        _answering(place, backend, image)
    api.create(CONFIG_MAP, {"metadata": {"name": _PAIR.name}, "data": {names.CONTENT: _PAIR.to_json()}})
    api.create(GATEWAY, gateway_of(_GATEWAY, place.section["gateway"]["class"]))
    api.apply(ROUTE, route_of(_HOST.partition(".")[0], _GATEWAY, _HOST), names.PROGRAM)
    for backend in (_A, _B):
        place.ready(backend.workload)
    traffic = RouteTraffic(api, _HOST.partition(".")[0])

    def serves() -> bool:
        traffic.use_config(_PAIR.name)
        live = traffic.read()
        return live.status == "ready" and live.config == _PAIR.name

    until(serves, "the route serves both variants")
    who = _caller(place)
    until(lambda: who() == _A.variant, "the first variant answers")
    return traffic


def _answering(place: Place, backend: Backend, image: str) -> None:
    """A workload of one Envoy, which answers with its variant's name by itself."""
    labels, port = {"workload": backend.workload}, names.PORT
    place.api.create(
        CONFIG_MAP,
        {"metadata": {"name": backend.workload}, "data": {"envoy.json": json.dumps(_envoy(backend.variant))}},
    )
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "answers",
        "image": image,
        "args": ["-c", "/etc/answers/envoy.json", "--concurrency", "1"],
        "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1},
        "securityContext": security,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/answers"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": backend.workload}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    place.api.create(DEPLOYMENT, {"metadata": {"name": backend.workload}, "spec": spec})
    place.api.create(SERVICE, service_of(backend.workload))


def _another(place: Place, number: int) -> None:
    """A route that is there, with two Services of its own."""
    name = f"other-{number}"
    config = ServingConfig(name, Backend("v-a", f"{name}-a"), Backend("v-b", f"{name}-b"))
    for backend in config.backends:
        place.api.create(SERVICE, service_of(backend.workload))
    place.api.apply(ROUTE, route_of(name, _GATEWAY, f"{name}.example"), names.PROGRAM)
    spec = {"rules": rules(config, {"v-a": 100})}
    place.api.apply(ROUTE, {"metadata": {"name": name}, "spec": spec}, names.MANAGER)


def _flipped(place: Place, traffic: RouteTraffic, flips: int) -> _Took:
    who, took = _caller(place), _Took([], [])
    for number in range(flips):
        wanted = (_B, _A)[number % 2].variant
        begun = time.monotonic()
        written = _written(traffic, {_A.variant: 0, _B.variant: 0, wanted: 100})
        while who() != wanted:
            if time.monotonic() - begun > 60:
                raise BenchError(f"{wanted} does not answer a minute after all weight was asked for it")
        took.seen.append(1000 * (time.monotonic() - begun))
        took.written.append(1000 * (written - begun))
        time.sleep(_PAUSE_S)
    return took


def _written(traffic: RouteTraffic, weights: Mapping[str, int]) -> float:
    """Set weights; when they were written, monotonic seconds. What is busy is asked again, as the next tick does."""
    while True:
        try:
            traffic.set_weights(weights)
        except Busy:
            continue
        return time.monotonic()


def _caller(place: Place) -> Callable[[], str]:
    """Asks the route once; who answered."""
    address: list[str] = []

    def there() -> bool:
        try:
            address[:] = [urlsplit(url(place.api, _GATEWAY)).netloc]
        except RolloutError:
            return False
        return True

    until(there, "the gateway has an address")
    connection = http.client.HTTPConnection(address[0], timeout=10)

    def who() -> str:
        try:
            connection.request("POST", "/invocations", headers={"Host": _HOST})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return ""
        return answer.getheader(names.VARIANT_HEADER) or ""

    return who


def _envoy(variant: str) -> dict[str, object]:
    kind = "type.googleapis.com/envoy.extensions.filters"
    routes = {
        "response_headers_to_add": [{"header": {"key": names.VARIANT_HEADER, "value": variant}}],
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            }
        ],
    }
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "answers",
        "route_config": routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}],
    }
    listener = {
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": names.PORT}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}
