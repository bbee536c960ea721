from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelstack.platforms.kubernetes.access import Access
from modelstack.platforms.kubernetes.answers import Exists, Forbidden, NotFound, Owned
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, CRD, NODE, PACKAGE, ROLLOUT, ResourceKind
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from tests.platforms.kubernetes.apiserver import ApiServer
from tests.platforms.kubernetes.world import ENDPOINT, World

NOBODYS = ResourceKind("example.org/v1", "Nothing", "nothings")


def answering(handle: Callable[[httpx.Request], httpx.Response], counted: list[tuple[str, str, int]]) -> Api:
    api = Api(
        Access("http://127.0.0.1:9", False, "models", "context test"), "models", counted=lambda *it: counted.append(it)
    )
    api._client = httpx.Client(base_url=api.server, transport=httpx.MockTransport(handle))
    return api


def config(name: str, value: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": {"key": value}}


def test_objects_are_made_read_listed_and_deleted(world: World) -> None:
    api = world.api
    api.create(CONFIG_MAP, {**config("one", "1"), "metadata": {"name": "one", "labels": {"of": "a"}}})
    api.create(CONFIG_MAP, {**config("two", "2"), "metadata": {"name": "two", "labels": {"of": "b"}}})
    assert api.get(CONFIG_MAP, "one")["data"] == {"key": "1"}
    assert [item["metadata"]["name"] for item in api.list(CONFIG_MAP, {"of": ("a", "b")})] == ["one", "two"]
    assert [item["metadata"]["name"] for item in api.list(CONFIG_MAP, {"of": "b"})] == ["two"]
    assert api.list(CONFIG_MAP, {"of": "b"})[0]["kind"] == "ConfigMap"
    api.delete(CONFIG_MAP, "one")
    api.delete(CONFIG_MAP, "one")
    assert api.find(CONFIG_MAP, "one") is None
    with pytest.raises(NotFound, match='"one" not found'):
        api.get(CONFIG_MAP, "one")


@pytest.mark.needs("apiserver")
@pytest.mark.slow
@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_machine_whose_clock_is_off_goes_by_that_of_the_server(server: ApiServer, off: float) -> None:
    api = Api(server.access(), "default")
    api.clock.now = lambda: time.time() + off
    assert api.clock.time() == pytest.approx(time.time() + off, abs=60), "nothing was asked yet"
    api.list(CONFIG_MAP)
    assert api.clock.time() == pytest.approx(time.time(), abs=60)


def test_what_exists_already_may_have_been_made_a_moment_ago(world: World) -> None:
    world.api.create(CONFIG_MAP, config("one", "1"))
    with pytest.raises(Exists) as refused:
        world.api.create(CONFIG_MAP, config("one", "2"))
    assert isinstance(refused.value, Busy)


def test_a_field_of_another_is_written_only_by_force(world: World) -> None:
    world.api.apply(CONFIG_MAP, config("one", "1"), "ada")
    with pytest.raises(Owned, match="ada"):
        world.api.apply(CONFIG_MAP, config("one", "2"), "eve")
    assert world.api.apply(CONFIG_MAP, config("one", "2"), "eve", force=True)["data"] == {"key": "2"}


def test_what_was_applied_before_and_is_left_out_goes(world: World) -> None:
    world.api.apply(CONFIG_MAP, {**config("one", "1"), "data": {"key": "1", "more": "2"}}, "ada")
    assert world.api.apply(CONFIG_MAP, config("one", "1"), "ada")["data"] == {"key": "1"}


def test_a_write_lands_only_on_the_version_that_was_read(world: World) -> None:
    made = world.api.apply(CONFIG_MAP, config("one", "1"), "ada")
    world.api.apply(CONFIG_MAP, config("one", "2"), "ada")
    with pytest.raises(Conflict):
        world.api.apply(CONFIG_MAP, config("one", "3", resourceVersion=made["metadata"]["resourceVersion"]), "ada")
    assert world.api.get(CONFIG_MAP, "one")["data"] == {"key": "2"}


def test_an_object_that_was_deleted_is_not_made_again_by_a_write_to_it(world: World) -> None:
    made = world.api.apply(CONFIG_MAP, config("one", "1"), "ada")
    world.api.delete(CONFIG_MAP, "one")
    with pytest.raises(Conflict):
        world.api.apply(CONFIG_MAP, config("one", "2", uid=made["metadata"]["uid"]), "ada")
    assert world.api.find(CONFIG_MAP, "one") is None


@pytest.mark.slow
def test_a_watch_begins_with_what_is_there(world: World) -> None:
    seen = [(kind, item["metadata"]["name"]) for kind, item in world.api.watch(ROLLOUT, seconds=1)]
    assert seen == [("ADDED", ENDPOINT)]


real = pytest.mark.parametrize(
    "world", [pytest.param("real", marks=[pytest.mark.needs("apiserver"), pytest.mark.slow])], indirect=True
)


@real
def test_a_real_server_says_who_we_are_and_what_we_may_not(server: ApiServer, world: World) -> None:
    assert world.api.user() == "admin"
    nobody = Api(server.access("nobody"), world.api.namespace)
    with pytest.raises(
        RolloutError, match=r'User "nobody" cannot get resource "rollouts".*\(asked as context nobody\)'
    ):
        nobody.get(ROLLOUT, ENDPOINT)


@real
def test_a_kind_that_a_real_server_does_not_know_is_told_from_an_object_that_is_missing(world: World) -> None:
    with pytest.raises(NotFound, match="no such kind there"):
        world.api.get(NOBODYS, "x")
    with pytest.raises(NotFound, match='nodes "x" not found'):
        world.api.get(NODE, "x")


@real
def test_a_group_that_a_real_server_serves_is_told_from_one_that_nobody_brought(
    server: ApiServer, world: World
) -> None:
    for api in (world.api, Api(server.access("nobody"), "default")):
        assert api.serves("autoscaling/v2")
        assert not api.serves("metrics.k8s.io/v1beta1")


@real
def test_a_long_list_comes_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelstack.platforms.kubernetes.api._PAGE", 2)
    for number in range(5):
        world.api.create(CONFIG_MAP, config(f"one-{number}", "1"))
    assert len([one for one in world.api.list(CONFIG_MAP) if one["metadata"]["name"].startswith("one-")]) == 5


@real
def test_a_real_server_takes_our_kinds_and_refuses_what_they_do_not_allow(world: World) -> None:
    for definition in definitions():
        said = world.api.get(CRD, definition["metadata"]["name"])["status"]["conditions"]
        assert {item["type"]: item["status"] for item in said}["Established"] == "True"
        assert not [item for item in said if item["type"] == "NonStructuralSchema"]
    with pytest.raises(RolloutError, match=r"spec.prometheus"):
        world.api.create(ROLLOUT, {"metadata": {"name": "r"}, "spec": {"stack": "s", "model": "m", "gateway": "g"}})
    with pytest.raises(RolloutError, match=r"spec.digest"):
        world.api.create(PACKAGE, {"metadata": {"name": "p"}, "spec": {"digest": "sha256:1", "archive": "s3://b/k"}})


def test_nobody_answers() -> None:
    api = Api(Access("http://127.0.0.1:9", False, "models", "context test"), "models")
    with pytest.raises(Unreachable, match=r"the API server http://127.0.0.1:9 \(context test\) does not answer"):
        api.get(CONFIG_MAP, "one")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Busy), (500, Unreachable), (503, Unreachable), (504, Unreachable), (401, Forbidden), (422, RolloutError)],
)
def test_what_passes_by_itself_is_told_from_what_does_not(status: int, kind: type[RolloutError]) -> None:
    told: dict[str, Any] = {"kind": "Status", "message": "the server said so"}
    api = answering(lambda _: httpx.Response(status, json=told, headers={"Retry-After": "1"}), [])
    with pytest.raises(RolloutError, match="the server said so") as refused:
        api.apply(CONFIG_MAP, config("one", "1"), "ada")
    assert type(refused.value) is kind


@pytest.mark.parametrize(("verb", "times"), [("get", 2), ("patch", 1)])
def test_what_only_reads_is_asked_once_more_and_every_request_is_counted(verb: str, times: int) -> None:
    counted: list[tuple[str, str, int]] = []

    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer in time")

    api = answering(silent, counted)
    with pytest.raises(Unreachable):
        api.get(CONFIG_MAP, "x") if verb == "get" else api.apply(CONFIG_MAP, config("x", "1"), "ada")
    assert counted == [(verb, "configmaps", 0)] * times


def test_a_proxy_that_answers_in_html_is_no_status() -> None:
    api = answering(lambda _: httpx.Response(502, text="<html>bad gateway</html>"), [])
    with pytest.raises(Unreachable, match="bad gateway"):
        api.get(CONFIG_MAP, "one")


def test_a_watch_that_is_too_old_is_begun_again() -> None:
    lines = [{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}]
    api = answering(lambda _: httpx.Response(200, text="\n".join(map(json.dumps, lines))), [])
    with pytest.raises(Conflict, match="too old"):
        list(api.watch(CONFIG_MAP))


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("http://prometheus.monitoring:9090", "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/"),
        ("http://a.b.svc.cluster.local:81/x", "/api/v1/namespaces/b/services/http:a:81/proxy/x/"),
        ("https://a.b.svc", "/api/v1/namespaces/b/services/https:a:443/proxy/"),
        *((url, "") for url in ("http://10.99.0.1:9090", "https://metrics.example.org", "http://localhost:9090")),
    ],
)
@pytest.mark.parametrize("in_cluster", [False, True])
def test_a_service_is_reached_through_the_server_from_outside_and_all_else_directly(
    url: str, there: str, in_cluster: bool
) -> None:
    api = Api(Access("http://127.0.0.1:9", False, "models", "context test", in_cluster=in_cluster), "models")
    with api.reach(url) as client:
        found = str(client.base_url)
    assert found.rstrip("/") == url if in_cluster or not there else found == f"http://127.0.0.1:9{there}"
