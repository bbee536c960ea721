from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import pytest

from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes.assembled import Clusters, GatewayReplay
from modelstack.platforms.kubernetes.captures import intake
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.kinds import ResourceKind
from modelstack.platforms.kubernetes.metrics import INTERNAL
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.state import RolloutState
from tests.platforms.http_endpoint import a_gateway
from tests.platforms.kubernetes.test_captures import line, post
from tests.rollout.worlds import release

CHAMPION, CHALLENGER = Backend("v-a", "solo-a"), Backend("v-b", "solo-b")
OLDER = [Backend("v-c", "solo-c"), Backend("v-d", "solo-d")]


class Journal:
    def read(self) -> RolloutState:
        return RolloutState("flights", champion=release("a"), challenger=release("b"))


def clusters(variant: str) -> tuple[str, ...]:
    return Clusters(cast(Any, Journal()), "models", SystemClock())(variant)


def test_copies_of_requests_count_for_the_challenger_whichever_rule_copies_them() -> None:
    shadow = ServingConfig("shadow-ab", CHAMPION, CHALLENGER, 100)
    for older in ([], OLDER[:1], OLDER):
        copying = len(rules(shadow, {"v-a": 100}, older)) - 1
        mirror = f"httproute/models/flights/rule/{copying}-mirror-0"
        assert mirror in clusters("v-b")
        assert mirror not in clusters("v-a")
        assert re.fullmatch(INTERNAL, mirror), "no user gets its answer"


def test_a_variant_is_served_by_its_workload() -> None:
    assert clusters("v-a") == ("service/models/solo-a/8080/http",)
    assert clusters("v-b")[0] == "service/models/solo-b/8080/http"
    assert not re.fullmatch(INTERNAL, clusters("v-b")[0])


SPEC = RolloutSpec("prod", "m", "gateway", "http://p:9090", host="flights.example")


@dataclass
class Cluster:
    address: str = "http://gateway:80"
    in_cluster: bool = True
    namespace: str = "models"

    def get(self, kind: ResourceKind, name: str) -> dict[str, Any]:
        protocol, address = self.address.split("://")
        host, _, port = address.partition(":")
        listeners = [{"protocol": protocol.upper(), "port": int(port)}]
        return {"spec": {"listeners": listeners}, "status": {"addresses": [{"value": host}]}}


def gate(cluster: Any, database: Database | None, endpoint: str = "e") -> GatewayReplay:
    return GatewayReplay(cluster, database, endpoint, SPEC)


def test_who_is_not_the_controller_in_the_cluster_leaves_it_to_that() -> None:
    database = Database.of("postgresql://me@127.0.0.1:1/x")
    for one in (gate(Cluster(in_cluster=False), database), gate(Cluster(), None)):
        with pytest.raises(Busy, match="the controller in the cluster replays"):
            one.run("v-a", "v-b", 10)


@pytest.mark.needs("postgresql")
def test_what_the_champion_was_asked_is_sent_through_the_gateway(store: Database, endpoint: str) -> None:
    with a_gateway() as gateway:
        assert gate(Cluster(gateway.url), store, endpoint).run("v-a", "v-b", 10).requests == 0
        intake(store, endpoint, "v-a", post(line("0", "0")))
        seen = gate(Cluster(gateway.url), store, endpoint).run("v-a", "v-b", 10)
    assert (seen.requests, seen.errors, seen.changed, seen.unreadable) == (1, 0, 0, {})
    assert [headers["x-modelstack-target"] for headers, _ in gateway.asked] == ["v-b", "v-a"]
    assert gateway.asked[0][0]["host"] == "flights.example"
