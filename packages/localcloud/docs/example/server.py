"""The model server: it answers {"name": ...} with a greeting, by the contract of SageMaker's containers."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """GET /ping and POST /invocations."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say that the model is ready."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Predict."""
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["name"]
        self._answer(json.dumps({"greeting": f"{os.environ['GREETING']}, {name}!"}).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT")  # given to a process; a container has an address of its own
    ThreadingHTTPServer(("127.0.0.1", int(port)) if port else ("", 8080), Handler).serve_forever()
