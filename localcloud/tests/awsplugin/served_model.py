"""A model server of the SageMaker contract, for tests: `behaviour.json` of the model says whether it starts."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = json.loads(Path(os.environ["SM_MODEL_DIR"], "behaviour.json").read_text())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps(BEHAVIOUR).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silent."""


while "until" in BEHAVIOUR and not Path(BEHAVIOUR["until"]).exists():
    time.sleep(0.02)
if BEHAVIOUR.get("start") == "raise":
    sys.exit("the model does not load: as the test wants")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
