"""The model server: it answers {"name": ...} with a greeting, by the contract of SageMaker's containers."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GREETING = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"), "greeting.txt").read_text().strip()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # /ping
        self.answer(200, b"")

    def do_POST(self) -> None:  # /invocations
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["name"]
        self.answer(200, json.dumps({"greeting": f"{GREETING}, {name}!"}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
