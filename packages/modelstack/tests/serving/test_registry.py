"""The one client of registries follows a redirect; who gets a login is in test_fetch.py."""

from __future__ import annotations

import pytest

from modelstack.serving.registry import Repository
from modelstack.serving.registry_protocol import Login
from tests.listening import Quiet, listening

LOGIN = Login("ada", "secret")
BLOB = f"blobs/sha256:{'0' * 64}"


@pytest.mark.slow
def test_a_redirected_head_stays_a_head_and_keeps_its_login_on_the_same_host() -> None:
    seen: list[tuple[str, str, str]] = []

    class Handler(Quiet):
        def do_HEAD(self) -> None:
            authorization = self.headers.get("Authorization", "")
            seen.append((self.command, self.path, authorization))
            name, value = "Location", f"http://{self.headers['Host']}/stored"
            if not authorization:
                name, value = "WWW-Authenticate", "Basic"
            self.send_response(401 if not authorization else 200 if self.path == "/stored" else 307)
            self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

    with listening(Handler) as url:
        Repository(url.removeprefix("http://"), "r", LOGIN, insecure=True).open(BLOB, "HEAD").close()
    assert seen[-2:] == [("HEAD", f"/v2/r/{BLOB}", LOGIN.basic), ("HEAD", "/stored", LOGIN.basic)]
