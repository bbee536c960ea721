"""The one client of registries: redirects, and who gets a login."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.registry import Repository
from serving.registry_protocol import Login, ProtocolError

LOGIN = Login("ada", "secret")
BLOB = f"blobs/sha256:{'0' * 64}"


class Registry(ThreadingHTTPServer):
    """Answers `/v2/r/blobs/...` with a redirect, `/stored` with 200, and `/token` with 404; notes each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.redirects_to, self.challenge = "", ""
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        self.server.seen.append((self.command, self.path, authorization))
        if self.path.startswith("/v2/") and self.server.challenge and not authorization:
            self.send_response(401)
            self.send_header("WWW-Authenticate", self.server.challenge)
        elif self.path.startswith("/v2/"):
            self.send_response(307)
            self.send_header("Location", self.server.redirects_to)
        else:
            self.send_response(404 if self.path.startswith("/token") else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_a_redirected_head_stays_a_head_and_keeps_its_login_on_the_same_host(registry: Registry) -> None:
    registry.redirects_to, registry.challenge = f"http://{registry.host}/stored", "Basic"
    Repository(registry.host, "r", LOGIN, insecure=True).open(BLOB, "HEAD").close()
    assert [(method, path) for method, path, _ in registry.seen[-2:]] == [
        ("HEAD", f"/v2/r/{BLOB}"),
        ("HEAD", "/stored"),
    ]
    assert registry.seen[-1][2] == LOGIN.basic


def test_another_host_gets_no_login(registry: Registry) -> None:
    with Registry() as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        registry.redirects_to, registry.challenge = f"http://{other.host}/stored", "Basic"
        Repository(registry.host, "r", LOGIN, insecure=True).open(BLOB).close()
        other.shutdown()
    assert other.seen == [("GET", "/stored", "")]


def test_a_token_server_that_refuses_is_no_answer_of_the_registry(registry: Registry) -> None:
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="r"'
    with pytest.raises(ProtocolError, match=f"{registry.host}, which gives its tokens, answers 404"):
        Repository(registry.host, "r", LOGIN, insecure=True).open(BLOB)
