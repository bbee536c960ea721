"""The replay gate through a gateway that routes by header: a real HTTP server, real captures in PostgreSQL."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import NamedTemporaryFile
from typing import Any

import httpx
import pytest

from monitoring.captured import REPLAYED
from platforms.kubernetes import replay
from platforms.kubernetes.captures import intake
from platforms.kubernetes.database import Database
from platforms.kubernetes.gateway import Entrance
from platforms.kubernetes.replay import GatewayReplay
from rollout.core.errors import Busy
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.certificates import authority
from tests.platforms.kubernetes.test_captures import line, post


@dataclass
class Gateway:
    """Answers as a route with target rules does."""

    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list[Any])
    rules: tuple[str, ...] = ("v-a", "v-b")
    says: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    of_a_pod: bool = True
    seconds: float = 0.0

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append((headers, body))
        wanted = headers.get("x-modelstack-target", "")
        variant = wanted if wanted in self.rules else "v-a"
        status, text = self.says.get(variant, (200, b'{"p": 0.25}'))
        return status, text, {"x-modelstack-variant": variant} if self.of_a_pod else {}


@dataclass(frozen=True)
class Cluster:
    in_cluster: bool = True


@contextmanager
def a_gateway(certificate: tuple[bytes, bytes] | None = None) -> Iterator[Gateway]:
    """A gateway, over TLS where a certificate and its key are given."""
    gateway = Gateway()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            named = {key.lower(): value for key, value in self.headers.items()}
            status, text, headers = gateway.answer({**named, "path": self.path}, body)
            threading.Event().wait(gateway.seconds)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

    secured = partial(_over_tls, certificate=certificate) if certificate else None
    with listening(Handler, secured=secured) as gateway.url:
        yield gateway


def _over_tls(listening: socket.socket, certificate: tuple[bytes, bytes]) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as both:
        both.write(b"".join(certificate))
        both.flush()
        context.load_cert_chain(both.name)
    return context.wrap_socket(listening, server_side=True)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with a_gateway() as made:
        yield made


def test_who_is_not_the_controller_in_the_cluster_leaves_it_to_that() -> None:
    for cluster, database in (
        (Cluster(in_cluster=False), Database.of("postgresql://me@127.0.0.1:1/x")),
        (Cluster(), None),
    ):
        with pytest.raises(Busy, match="the controller in the cluster replays"):
            GatewayReplay(cluster, database, "e", Entrance("http://gateway")).run("v-a", "v-b", 10)


@pytest.mark.needs("postgresql")
class TestWithCaptures:
    def captured(self, store: Database, endpoint: str, requests: int) -> None:
        intake(store, endpoint, "v-a", post(*(line(str(n), str(n)) for n in range(requests))))

    def test_a_request_is_sent_as_it_was_captured_to_both_variants(
        self, gateway: Gateway, store: Database, endpoint: str
    ) -> None:
        self.captured(store, endpoint, 1)
        seen = GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url, "flights.example")).run("v-a", "v-b", 10)
        assert (seen.requests, seen.errors, seen.changed, seen.unreadable) == (1, 0, 0, {})
        assert [headers["x-modelstack-target"] for headers, _ in gateway.asked] == ["v-b", "v-a"]
        for headers, body in gateway.asked:
            assert (headers["path"], headers["host"], body) == ("/invocations", "flights.example", b"0")
            assert (headers["content-type"], headers["accept"]) == ("text/csv", "application/json")
            assert headers["x-amzn-sagemaker-inference-id"].startswith(REPLAYED)

    def test_nothing_captured_is_nothing_replayed(self, gateway: Gateway, store: Database, endpoint: str) -> None:
        assert GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10).requests == 0

    def test_a_variant_that_does_not_answer_in_time_is_an_error_of_its_own(
        self, gateway: Gateway, store: Database, endpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.captured(store, endpoint, 1)
        monkeypatch.setattr(replay, "_TIMEOUT", httpx.Timeout(0.2))
        gateway.seconds = 0.5
        seen = GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10)
        assert (seen.errors, seen.examples) == (1, ("the answer is an error 504: no answer within 60 s",))
        gateway.seconds, gateway.of_a_pod, gateway.says["v-b"] = 0.0, False, (504, b"upstream request timeout")
        gateway.says["v-a"] = (504, b"")
        assert GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10).errors == 1

    @pytest.mark.parametrize("status", [404, 429, 502, 503])
    def test_what_the_gateway_says_by_itself_is_no_answer_of_the_variant(
        self, gateway: Gateway, store: Database, endpoint: str, status: int
    ) -> None:
        self.captured(store, endpoint, 1)
        gateway.of_a_pod, gateway.says["v-b"] = False, (status, b"no healthy upstream")
        with pytest.raises(Busy, match=f"no variant answered, but the gateway: {status} no healthy upstream"):
            GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10)
        gateway.of_a_pod = True
        assert GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10).errors == 1

    def test_a_route_without_the_rule_yet_never_compares_the_champion_with_itself(
        self, gateway: Gateway, store: Database, endpoint: str
    ) -> None:
        self.captured(store, endpoint, 1)
        gateway.rules = ("v-a",)
        with pytest.raises(Busy, match="v-a answered: the route has no rule for v-b yet"):
            GatewayReplay(Cluster(), store, endpoint, Entrance(gateway.url)).run("v-a", "v-b", 10)

    def test_a_gateway_of_tls_is_asked_and_checked_by_the_host_that_its_certificate_is_for(
        self, store: Database, endpoint: str
    ) -> None:
        self.captured(store, endpoint, 1)
        certificate = authority("flights.example")
        trusted = ssl.create_default_context(cadata=certificate[0].decode())
        with a_gateway(certificate) as gateway:

            def replay_as(host: str, verify: ssl.SSLContext | bool) -> int:
                there = Entrance(gateway.url, host, verify)
                return GatewayReplay(Cluster(), store, endpoint, there).run("v-a", "v-b", 10).requests

            assert replay_as("flights.example", trusted) == 1
            assert gateway.asked[0][0]["host"] == "flights.example"
            for host, verify in (("other.example", trusted), ("flights.example", True)):
                with pytest.raises(Busy, match="CERTIFICATE_VERIFY_FAILED"):
                    replay_as(host, verify)

    def test_nobody_there_is_busy(self, store: Database, endpoint: str) -> None:
        self.captured(store, endpoint, 1)
        with pytest.raises(Busy, match="ConnectError"):
            GatewayReplay(Cluster(), store, endpoint, Entrance("http://127.0.0.1:1")).run("v-a", "v-b", 10)
