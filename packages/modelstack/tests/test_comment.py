"""`.ci/comment` puts one comment on a pull request, and later ones in its place: by HTTP, on both forges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import ROOT

pytestmark = pytest.mark.slow

MARKER = "<!-- modelstack pr-report dev -->"


class Forge(ThreadingHTTPServer):
    """Keeps the comments of one pull request, as both forges do."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Forge

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        page, size = (int(parse_qs(asked.query)[name][0]) for name in ("page", "per_page"))
        self._answer(200, self.server.comments[(page - 1) * size : page * size])

    def do_POST(self) -> None:
        author = {"type": "Bot", "login": "ci[bot]", "username": "project_7_bot_ab"}
        made = {"id": len(self.server.comments) + 1, "user": author, "author": author, **self._body()}
        self.server.comments.append(made)
        self._answer(201, made)

    def do_PATCH(self) -> None:
        (found,) = [item for item in self.server.comments if item["id"] == int(self.path.rpartition("/")[2])]
        found |= self._body()
        self._answer(200, found)

    do_PUT = do_PATCH

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, value: Any) -> None:
        self.server.asked.append((self.command, urlsplit(self.path).path))
        self.server.headers = dict(self.headers)
        if "refuse" in self.path:
            status, value = 403, {"message": "Resource not accessible by integration"}
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def forge() -> Iterator[Forge]:
    server = Forge()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def commented(
    forge: Forge, which: str, text: str, folder: Path, repository: str = "o/r"
) -> subprocess.CompletedProcess[str]:
    (folder / "comment.md").write_text(f"{MARKER}\n\n{text}\n")
    environment = {
        "PATH": os.environ["PATH"],
        **{"GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": repository, "GITHUB_TOKEN": "ghs_secret"},
        **{"CI_API_V4_URL": f"{forge.url}/api/v4", "CI_PROJECT_ID": "7", "GITLAB_TOKEN": "glpat_secret"},
    }
    command = [sys.executable, str(ROOT / ".ci" / "comment"), which, "12", str(folder / "comment.md")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("which", ["github", "gitlab"])
def test_a_second_push_changes_the_comment_of_the_first(which: str, forge: Forge, tmp_path: Path) -> None:
    for text in ("one", "two"):
        done = commented(forge, which, text, tmp_path)
        assert done.returncode == 0, done.stderr
    assert [item["body"] for item in forge.comments] == [f"{MARKER}\n\ntwo\n"]


def test_a_persons_comment_that_begins_alike_is_left_alone(forge: Forge, tmp_path: Path) -> None:
    forge.comments.append({"id": 1, "user": {"type": "User"}, "body": f"{MARKER} mine"})
    assert commented(forge, "github", "ours", tmp_path).returncode == 0
    assert [item["body"] for item in forge.comments] == [f"{MARKER} mine", f"{MARKER}\n\nours\n"]


def test_the_comment_is_found_behind_a_hundred_others(forge: Forge, tmp_path: Path) -> None:
    forge.comments += [{"id": n, "user": {"type": "User"}, "body": "hm"} for n in range(1, 151)]
    for text in ("one", "two"):
        assert commented(forge, "github", text, tmp_path).returncode == 0
    assert len(forge.comments) == 151 and forge.comments[-1]["body"].endswith("two\n")
    assert ("PATCH", "/repos/o/r/issues/comments/151") in forge.asked


def test_what_the_forge_refuses_is_told_without_the_token(forge: Forge, tmp_path: Path) -> None:
    done = commented(forge, "github", "x", tmp_path, repository="refuse/r")
    assert done.returncode == 1
    assert "was answered 403" in done.stderr and "not accessible by integration" in done.stderr
    assert "ghs_secret" not in done.stderr + done.stdout


def test_another_forge_is_refused(forge: Forge, tmp_path: Path) -> None:
    done = commented(forge, "sourcehut", "x", tmp_path)
    assert done.returncode == 1 and "expected github or gitlab" in done.stderr
    assert forge.asked == []
