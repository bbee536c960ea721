"""A model's container that behaves as the variable BEHAVIOUR says; run in a pod, with the standard library only.

    {}                      # answers
    {"status": 500}         # fails every request
    {"eats": 20000000}      # allocates that many bytes per request
    {"flaps": 3}            # is ready for that many seconds, then not ready for as many

At SIGTERM it answers open requests and closes each connection, as the serving runtime does.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BEHAVIOUR = json.loads(os.environ.get("BEHAVIOUR", "{}"))
VARIANT = os.environ.get("MODELSTACK_VARIANT", "")
_kept: list[bytearray] = []
_ending = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        flaps = BEHAVIOUR.get("flaps")
        self._answer(503 if flaps and int(time.time() / flaps) % 2 else 200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if eats := BEHAVIOUR.get("eats"):
            _kept.append(bytearray(os.urandom(1)) * eats)
        self._answer(BEHAVIOUR.get("status", 200))

    def _answer(self, status: int) -> None:
        content = b'{"predictions": [1]}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-modelstack-variant", VARIANT)
        self.send_header("x-envoy-upstream-canary", "true")
        if _ending.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write no line a request."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    server = Server(("0.0.0.0", 8080), Handler)
    signal.signal(signal.SIGTERM, lambda *_: _ending.set())
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    _ending.wait()
    time.sleep(2)  # for what is under way
    server.shutdown()


if __name__ == "__main__":
    main()
