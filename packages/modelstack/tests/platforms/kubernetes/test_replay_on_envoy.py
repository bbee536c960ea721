"""What the replay gate makes of what a real Envoy says by itself, and of what a variant says through it.

Envoy adds no header of its own here, as Envoy Gateway tells it: who answered is told by the variant alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.testing import free_port
from modelstack.platforms.kubernetes.invoke import GatewayInvoke
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.state import Replayed
from tests.machine import envoy
from tests.platforms.http_endpoint import Gateway, a_gateway
from tests.platforms.kubernetes.stage import address, cluster_of, listener, program, until
from tests.services.test_replay import World, line

pytestmark = pytest.mark.needs("envoy")
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


@pytest.fixture(scope="module")
def backend() -> Iterator[Gateway]:
    with a_gateway() as made:
        made.rules = ("v-a", "v-slow")
        yield made


@pytest.fixture(scope="module")
def url(backend: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Envoy with a rule for v-a, v-slow, v-refused and v-none; what asks for another variant goes to v-a."""
    folder, port, admin = tmp_path_factory.mktemp("envoy"), free_port(), free_port()
    serves = int(backend.url.rpartition(":")[2])
    ends = {"v-a": [serves], "v-slow": [serves], "v-refused": [free_port()], "v-none": []}
    (folder / "envoy.json").write_text(json.dumps(_bootstrap(port, admin, ends)))
    words = [envoy(), "-c", folder / "envoy.json", "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
    with program(words, Path(folder, "log")):
        until(lambda: httpx.get(f"http://127.0.0.1:{admin}/ready").status_code == 200)
        yield f"http://127.0.0.1:{port}"


def _bootstrap(port: int, admin: int, ends: dict[str, list[int]]) -> dict[str, Any]:
    def route(variant: str, **match: Any) -> dict[str, Any]:
        timeout = {"timeout": "0.3s"} if variant == "v-slow" else {}
        return {"match": {"prefix": "/", **match}, "route": {"cluster": variant, **timeout}}

    rules = [
        route(variant, headers=[{"name": "x-modelstack-target", "string_match": {"exact": variant}}])
        for variant in ends
    ]
    hosts = [{"name": "v", "domains": ["*"], "routes": [*rules, route("v-a")]}]
    connections = {
        "@type": _MANAGER,
        "stat_prefix": "in",
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {"name": "r", "virtual_hosts": hosts},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}}
        ],
    }
    clusters = [cluster_of(variant, *ports) for variant, ports in ends.items()]
    return {
        "admin": {"address": address(admin)},
        "static_resources": {"listeners": [listener(port, connections)], "clusters": clusters},
    }


def replayed(url: str, challenger: str) -> Replayed:
    with httpx.Client(base_url=url, timeout=60) as client:
        world = World(invoke=GatewayInvoke(client))
        world.file(line("1"))
        return world.run(challenger=challenger)


def test_a_variant_that_answers_is_compared(url: str) -> None:
    seen = replayed(url, "v-slow")
    assert (seen.requests, seen.errors) == (1, 0)


def test_an_error_of_the_variant_itself_is_its_error(url: str, backend: Gateway) -> None:
    backend.says["v-slow"] = (503, b"overloaded")
    try:
        seen = replayed(url, "v-slow")
    finally:
        backend.says.clear()
    assert (seen.errors, seen.examples) == (1, ("the answer is an error 503: overloaded",))


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ("v-refused", "no variant answered, but the gateway: 503"),
        ("v-none", "no variant answered, but the gateway: 503"),
        ("v-new", "v-a answered: the route has no rule for v-new yet"),
    ],
)
def test_a_variant_that_cannot_be_reached_is_sent_the_request_again_later(url: str, variant: str, why: str) -> None:
    with pytest.raises(Busy, match=why):
        replayed(url, variant)


def test_a_variant_that_the_gateway_waits_for_in_vain_has_failed(url: str, backend: Gateway) -> None:
    backend.seconds = 1.0
    try:
        seen = replayed(url, "v-slow")
    finally:
        backend.seconds = 0.0
    assert (seen.errors, seen.examples) == (1, ("the answer is an error 504: upstream request timeout",))
