"""The means by which the stages of both platforms make what a row names: faulty calls, alarms, kinds of effects."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, cast, get_args

import httpx
import pytest

from modelstack.platforms.kubernetes.access import Access
from modelstack.platforms.kubernetes.api import Api
from tests.conformance import on_aws
from tests.conformance.cluster import mortal, stage
from tests.conformance.cluster.alarms import Rules
from tests.conformance.cluster.proxy import Fault, Proxy
from tests.conformance.stage import Call
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.fake_api import FakeApi


@pytest.fixture
def performed() -> list[str]:
    return []


@pytest.fixture
def proxy(performed: list[str]) -> Generator[Proxy]:
    class Handler(Quiet):
        def do_GET(self) -> None:
            performed.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_PUT = do_GET

    with listening(Handler) as url, Proxy.to(Access(url, False, "models", "a test"), url) as made:
        yield made


def put(proxy: Proxy) -> int:
    """The status of a call; 0 when it was not answered."""
    try:
        return httpx.put(f"{proxy.kubernetes}/apis/x/rollouts/one?a=b", content=b"{}").status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.parametrize(
    ("effect", "status", "performs"),
    [("error", 500, 0), ("throttle", 429, 0), ("drop_before", 0, 0), ("drop_after", 0, 1)],
)
def test_a_call_goes_wrong_as_often_as_is_said(
    proxy: Proxy, performed: list[str], effect: Any, status: int, performs: int
) -> None:
    proxy.faults.append(Fault(effect, lambda method, path: method == "PUT" and "/rollouts/one" in path, 2))
    assert [put(proxy) for _ in range(3)] == [status, status, 200]
    assert performed == ["PUT /apis/x/rollouts/one?a=b"] * (2 * performs + 1)


def test_a_call_that_no_fault_is_about_passes(proxy: Proxy, performed: list[str]) -> None:
    proxy.faults.append(Fault("error", lambda method, path: "/rollouts/other" in path))
    assert put(proxy) == 200
    assert httpx.get(f"{proxy.prometheus}/api/v1/query?query=up").status_code == 200
    assert performed[1] == "GET /api/v1/query?query=up"


def test_each_platform_knows_every_call_that_a_row_may_name() -> None:
    assert {*get_args(Call)} == {*on_aws._OPERATIONS} == {*stage._CALLS}


def test_only_alarms_that_a_row_declares_can_fire() -> None:
    rules = Rules(cast(Api, FakeApi()), "row-1", {"v-champion": "row-1-champion", "v-challenger": "row-1-challenger"})
    rules.declared.add(("v-challenger", "5xx"))
    rules.firing.add(("v-champion", "p99"))
    alerts = {rule["alert"]: rule["expr"] for rule in rules.group()["rules"] if "alert" in rule}
    fire = {name for name, expression in alerts.items() if "> 1" not in expression or "vector" not in expression}
    assert fire == {"row-1-v-challenger-5xx", "row-1-v-champion-p99"}
    assert alerts["row-1-v-champion-p99"] == "vector(1)"
    assert {f"row-1-{variant}-{measure}" for variant, measure in rules.alarms()} <= {*alerts}


def test_writes_of_a_route_are_told_apart_by_what_they_say_and_not_by_the_time() -> None:
    def written(config: str, at: float, weight: int) -> str:
        body = {
            "metadata": {"annotations": {"modelstack.dev/config": config, "modelstack.dev/asked": at}},
            "spec": weight,
        }
        url = "http://127.0.0.1/kubernetes/apis/gateway.networking.k8s.io/v1/namespaces/n/httproutes/row"
        return mortal.kind(httpx.Request("PATCH", url, content=json.dumps(body)))

    assert written("pair", 1, 50) == written("pair", 2, 50)
    assert len({written("pair", 1, 50), written("pair", 1, 90), written("solo", 1, 50)}) == 3
