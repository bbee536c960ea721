from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from platforms.kubernetes.assembled import GatewayReplay
from platforms.kubernetes.captures import intake
from platforms.kubernetes.database import Database
from platforms.kubernetes.kinds import ResourceKind
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.errors import Busy
from tests.platforms.http_endpoint import a_gateway
from tests.platforms.kubernetes.test_captures import line, post

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
