from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, ResourceKind
from modelstack.platforms.kubernetes.probes import Probes, through_gateways
from modelstack.platforms.kubernetes.program.counts import Counts
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.release import Release
from modelstack.services.invoke import Request, Response
from modelstack.services.measuring import Measuring
from tests.platforms.http_endpoint import a_gateway
from tests.platforms.kubernetes.certificates import authority
from tests.platforms.kubernetes.test_assembled import Cluster
from tests.rollout.worlds import release

SPEC = RolloutSpec("prod", "m", "gateway", "http://p:9090", measuring=Measuring(probe_minutes=2))
BODY = b'{"instances": [{"a": 1}]}'


@dataclass
class World:
    """Endpoints `a` and `b`, whose answers are `says`."""

    now: float = 1000.0
    says: bytes | str = b'{"predictions": [1]}'
    specs: dict[str, RolloutSpec | RolloutError] = field(default_factory=lambda: {"a": SPEC, "b": SPEC})
    champions: dict[str, Release | None] = field(default_factory=lambda: {"a": release("1"), "b": release("2")})
    asked: list[tuple[str | None, bytes]] = field(default_factory=list[tuple[str | None, bytes]])
    counts: Counts = field(default_factory=lambda: Counts("models"))

    def __post_init__(self) -> None:
        self.probes = Probes(
            lambda _: self, self.member, self.spec, self.champions.__getitem__, self.counts.probed, lambda: self.now
        )

    def spec(self, name: str) -> RolloutSpec:
        spec = self.specs[name]
        if isinstance(spec, RolloutError):
            raise spec
        return spec

    def member(self, of: Release, name: str) -> bytes | None:
        assert name == "example.json"
        return None if of.id == "none" else BODY

    def send(self, request: Request) -> Response:
        self.asked.append((request.variant, request.body))
        if isinstance(self.says, str):
            raise Unreachable(self.says)
        return Response(200, self.says, 0.1, request.variant or "")

    def look(self, *names: str) -> list[str]:
        due = self.probes.due(names)
        for name in due:
            self.probes.run(name)
        return due

    def shown(self, name: str) -> list[str]:
        return [one for one in self.counts.text().splitlines() if one.startswith("modelstack_probe") and name in one]


@pytest.fixture
def world() -> World:
    return World()


def test_each_endpoint_is_asked_as_often_as_its_config_says_with_the_request_of_its_champion(world: World) -> None:
    world.specs["b"] = replace(SPEC, measuring=Measuring(probe_minutes=5))
    looks = []
    for _ in range(11):
        looks += [(int(world.now - 1000) // 60, name) for name in world.look("a", "b")]
        world.now += 60
    assert looks == [(0, "a"), (0, "b"), (2, "a"), (4, "a"), (5, "b"), (6, "a"), (8, "a"), (10, "a"), (10, "b")]
    assert world.asked[:2] == [("v-1", BODY), ("v-2", BODY)]


def test_a_shorter_pause_holds_at_once_and_null_ends_it(world: World) -> None:
    world.specs["a"] = replace(SPEC, measuring=Measuring(probe_minutes=60))
    assert world.look("a") == ["a"]
    world.specs["a"], world.now = SPEC, world.now + 120
    assert world.look("a") == ["a"]
    world.specs["a"], world.now = replace(SPEC, measuring=Measuring()), world.now + 9999
    assert world.look("a") == []
    assert world.shown('endpoint="a"') == []


def test_what_was_found_is_shown_and_a_failure_has_no_latency(world: World) -> None:
    world.look("a")
    shown = world.shown('endpoint="a"')
    assert 'modelstack_probe_success{endpoint="a",namespace="models"} 1.0' in shown
    assert 'modelstack_probe_time_seconds{endpoint="a",namespace="models"} 1000.0' in shown
    assert any(one.startswith("modelstack_probe_latency{") for one in shown)
    for says in ("503 no healthy upstream", b'{"predictions": [NaN]}', b""):
        world.says, world.now = says, world.now + 120
        world.look("a")
        assert sorted(world.shown('endpoint="a"')) == [
            'modelstack_probe_success{endpoint="a",namespace="models"} 0.0',
            f'modelstack_probe_time_seconds{{endpoint="a",namespace="models"}} {world.now!r}',
        ]


def test_who_no_longer_leads_shows_nothing_so_that_it_hides_nothing(world: World) -> None:
    world.look("a", "b")
    world.look("b")
    assert world.shown('endpoint="a"') == []
    assert world.shown('endpoint="b"')
    world.look()
    assert world.shown("endpoint") == []
    assert world.look("a") == ["a"], "and probes at once when it leads again"


def test_what_cannot_be_asked_tells_nothing(world: World) -> None:
    world.champions = {"a": None}
    world.probes.champion = world.champions.__getitem__
    world.look("a")
    world.champions["a"], world.now = release("none"), world.now + 120
    world.look("a")
    world.specs["a"], world.now = RolloutError("wrong"), world.now + 120
    world.look("a")
    assert world.asked == []
    assert world.shown("endpoint") == []


@dataclass
class Looked(Cluster):
    """Before one gateway, whose certificate is checked by an authority."""

    authority: str = ""
    looked: int = 0

    def find(self, kind: ResourceKind, name: str) -> dict[str, Any] | None:
        assert (kind, name) == (CONFIG_MAP, "authority")
        return {"data": {"ca.crt": self.authority}} if self.authority else None

    def get(self, kind: ResourceKind, name: str) -> dict[str, Any]:
        self.looked += 1
        return super().get(kind, name)


PROBE = Request(BODY, variant="v-1")


def test_where_a_gateway_is_is_looked_up_once_and_again_when_it_does_not_answer() -> None:
    with a_gateway() as gateway:
        gateway.rules = ("v-1",)
        there: Any = Looked(gateway.url)
        send = through_gateways(there)
        assert [send(SPEC).send(PROBE).status for _ in range(2)] == [200, 200]
        assert there.looked == 1
    there.address = "http://127.0.0.1:9"
    gone = through_gateways(there)
    for looked in (2, 3):
        with pytest.raises(Unreachable, match="Connection refused"):
            gone(SPEC).send(PROBE)
        assert there.looked == looked


def test_a_gateway_of_tls_is_checked_by_the_host_of_the_route_and_by_ones_own_authority() -> None:
    certificate = authority("flights.example")
    named = replace(SPEC, host="flights.example", ca_config_map="authority")
    with a_gateway(certificate) as gateway:
        gateway.rules = ("v-1",)
        there: Any = Looked(gateway.url, authority=certificate[0].decode())
        send = through_gateways(there)
        assert send(named).send(PROBE).ok
        for other in (replace(named, host="other.example"), replace(named, ca_config_map="")):
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                send(other).send(PROBE)
        for wrong in ("", "no certificate"):
            there.authority = wrong
            with pytest.raises(RolloutError, match=r"ConfigMap models/authority: ca\.crt holds no certificate"):
                through_gateways(there)(named).send(PROBE)
