"""A model server of the SageMaker contract with nothing but the standard library, for tests.

    SM_MODEL_DIR=FOLDER SAGEMAKER_BIND_TO_PORT=8080 python served_model.py serve

How it behaves is in the folder's `behaviour.json`: {"name": ..., "start": "ok" or "raise", "slow", "held", "hang",
"unwell"}. A start that is held, and a request with `until`, wait for the file that `until` names; so does
every request of a model with `holds`. A request with `sleep` is answered so many seconds later.
To a request with `instances` it gives a prediction: {"answer": the body, "status": of a share of them, "share": 1,
"delay": seconds of a share of them, "delayed": 1, "crash": true}. A request {"become": {...}} changes its behaviour
from then on.
"""

from __future__ import annotations

import json
import os
import random
import socketserver
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["SM_MODEL_DIR"])
BEHAVIOUR = json.loads((FOLDER / "behaviour.json").read_text())
PREDICTION = '{"predictions": [1]}'


class Handler(socketserver.StreamRequestHandler):
    """Answers the requests of one connection. To import http.server would double what the start of a model takes."""

    unwell = False

    def handle(self) -> None:
        while line := self.rfile.readline():
            self.method, self.path, _ = line.decode().split()
            self.headers: dict[str, str] = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(":")
                self.headers[name.lower()] = value.strip()
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.method == "GET":
                self.ping()
            else:
                self.invoke(body)

    def ping(self) -> None:
        good = self.path == "/ping" and not Handler.unwell and BEHAVIOUR.get("start") != "unwell"
        self.answer(200 if good else 503, b"")

    def invoke(self, body: bytes) -> None:
        asked = json.loads(body) if body.startswith(b"{") else {}
        if until := asked.get("until", BEHAVIOUR.get("holds")):
            wait(Path(until))
        time.sleep(asked.get("sleep", 0))
        if asked.get("do") == "crash":
            os._exit(3)
        if asked.get("do") == "sicken":
            Handler.unwell = True
        if "become" in asked:
            BEHAVIOUR.update(asked["become"])
            self.answer(200, b"{}")
            return
        if "instances" in asked:
            self.predict()
            return
        if asked.get("do") == "large":
            self.answer(200, b"x" * asked["bytes"])
            return
        seen = {
            "name": BEHAVIOUR["name"],
            "pid": os.getpid(),
            "environment": {key: os.environ.get(key) for key in ("GREETING", "SM_MODEL_DIR", "AWS_REGION")},
            "content_type": self.headers.get("content-type"),
            "accept": self.headers.get("accept"),
            "custom_attributes": self.headers.get("x-amzn-sagemaker-custom-attributes"),
            "bytes": len(body),
        }
        status = asked.get("status", BEHAVIOUR.get("status", 200))
        self.answer(status, json.dumps(seen if status < 400 else {"error": f"as asked: {status}"}).encode())

    def predict(self) -> None:
        if BEHAVIOUR.get("crash"):
            os._exit(3)
        time.sleep(BEHAVIOUR.get("delay", 0) if random.random() < BEHAVIOUR.get("delayed", 1) else 0)
        status = BEHAVIOUR.get("status", 200) if random.random() < BEHAVIOUR.get("share", 1) else 200
        failure = json.dumps({"error": f"{BEHAVIOUR['name']} fails, as its archive says"})
        self.answer(status, (BEHAVIOUR.get("answer", PREDICTION) if status < 400 else failure).encode())

    def answer(self, status: int, body: bytes) -> None:
        if self.method != "GET":
            print(f"{self.method} {self.path}", flush=True)
        lines = [f"HTTP/1.1 {status} ", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        if "x-amzn-sagemaker-custom-attributes" in self.headers:
            lines.append("X-Amzn-SageMaker-Custom-Attributes: seen")
        # Head and body in one segment: two would wait for each other's acknowledgement.
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def wait(until: Path) -> None:
    """Say that one waits for a file, and wait for it."""
    until.with_suffix(".waits").touch()
    while not until.exists():
        time.sleep(0.01)


def starts(arguments: list[str]) -> None:
    """Do what the behaviour says of the start."""
    if arguments != ["serve"]:
        sys.exit(f"expected the argument serve, not {arguments}")
    start = BEHAVIOUR.get("start", "ok")
    print(f"{BEHAVIOUR['name']} starts: {start}", flush=True)
    if start == "raise":
        raise ImportError("no module named plausible")
    if start == "held":
        wait(Path(BEHAVIOUR["until"]))
    if start == "slow":
        time.sleep(BEHAVIOUR["seconds"])
    if start == "hang":
        time.sleep(3600)
    for _ in range(BEHAVIOUR.get("workers", 0)):
        os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")


if __name__ == "__main__":
    starts(sys.argv[1:])
    Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
