"""A proxy in front of the API server and Prometheus whose answers fail as configured."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import httpx

from modelstack.platforms.kubernetes.access import Access
from tests.conformance.stage import Effect
from tests.listening import Quiet, listening

_THROUGH = ("content-type", "accept", "idempotency-key")
_STATUS = {"error": 500, "throttle": 429}
_SAID = {"error": "as the test says: out of order", "throttle": "as the test says: too many requests"}


@dataclass
class Fault:
    """A fault of calls that match by method and path, which begins with `/kubernetes` or `/prometheus`.

    Attributes:
        calls: How many calls are left; None for all.
        seconds: Until a connection is closed.
    """

    effect: Effect
    matches: Callable[[str, str], bool]
    calls: int | None = None
    seconds: float = 0.0


@dataclass
class Proxy:
    url: str = ""
    faults: list[Fault] = field(default_factory=list[Fault])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kubernetes(self) -> str:
        return f"{self.url}/kubernetes"

    @property
    def prometheus(self) -> str:
        return f"{self.url}/prometheus"

    def taken(self, method: str, path: str) -> Fault | None:
        """The fault that a call meets, if any; it is used up by that."""
        with self._lock:
            for fault in self.faults:
                if fault.calls != 0 and fault.matches(method, path):
                    if fault.calls is not None:
                        fault.calls -= 1
                    return fault
        return None

    @classmethod
    @contextmanager
    def to(cls, access: Access, prometheus: str) -> Generator[Proxy]:
        proxy = cls()
        # A hung call may last as long as its caller waits for it.
        limits = httpx.Limits(max_connections=None)
        behind = {
            "kubernetes": httpx.Client(
                base_url=access.server, verify=access.verify, auth=access.auth, timeout=60, limits=limits
            ),
            "prometheus": httpx.Client(base_url=prometheus, timeout=60, limits=limits, verify=False),
        }
        try:
            with listening(_handler(proxy, behind)) as proxy.url:
                yield proxy
        finally:
            for client in behind.values():
                client.close()


def _handler(proxy: Proxy, behind: dict[str, httpx.Client]) -> type[BaseHTTPRequestHandler]:
    class Handler(Quiet):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = proxy.taken(self.command, self.path)
            if fault is not None and fault.effect in _STATUS:
                self._say(_STATUS[fault.effect], _SAID[fault.effect])
                return
            if fault is not None and fault.effect == "drop_before":
                self._drop(fault)
                return
            answer = self._asked(body)
            if fault is not None:
                self._drop(fault)
                return
            self._tell(answer.status_code, answer.headers.get("content-type", ""), answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

        def _asked(self, body: bytes) -> httpx.Response:
            _, where, path = self.path.split("/", 2)
            headers = {name: self.headers[name] for name in _THROUGH if name in self.headers}
            client = behind[where]
            url = httpx.URL(f"{str(client.base_url).rstrip('/')}/{path}")
            return client.request(self.command, url, content=body, headers=headers)

        def _drop(self, fault: Fault) -> None:
            time.sleep(fault.seconds)
            self.close_connection = True

        def _say(self, status: int, message: str) -> None:
            said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": message}
            self._tell(status, "application/json", json.dumps(said | {"error": message}).encode())

        def _tell(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
