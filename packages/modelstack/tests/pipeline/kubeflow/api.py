"""A stand-in for the API of Kubeflow Pipelines: it records the SDK's requests and returns documented answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.listening import Quiet, listening

PREFIX = "/apis/v2beta1"


@dataclass
class Api:
    """Recorded requests: method, path and body of each; a body that is no JSON as bytes."""

    url: str = ""
    sent: list[tuple[str, str, Any]] = field(default_factory=list)

    def bodies(self, method: str, path: str) -> list[Any]:
        return [body for one, where, body in self.sent if (one, where) == (method, path)]


@contextmanager
def api() -> Iterator[Api]:
    kept = Api()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            as_json = self.headers.get("Content-Type", "").startswith("application/json")
            self._answer(json.loads(content) if as_json else content)

        def _answer(self, body: Any) -> None:
            path = urlsplit(self.path).path
            kept.sent.append((self.command, path, body))
            found = _ANSWERS.get((self.command, path.removeprefix(PREFIX)))
            content = json.dumps({"code": 5, "message": f"no {self.command} {path}"} if found is None else found)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content.encode())

    with listening(Handler) as kept.url:
        yield kept


_ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/healthz"): {"multi_user": False},
    ("GET", "/experiments"): {},
    ("POST", "/experiments"): {"experiment_id": "e1", "display_name": "flights"},
    ("POST", "/pipelines/upload"): {"pipeline_id": "p1", "display_name": "flight-delay"},
    ("POST", "/runs"): {"run_id": "r1", "state": "PENDING"},
    ("GET", "/runs/r1"): {"run_id": "r1", "state": "SUCCEEDED"},
}
