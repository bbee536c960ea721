"""The model server of the local cloud's tests, in a pod: it names its variant and stores what it answered.

    python stub.py serve      # the model; it behaves as $SM_MODEL_DIR/behaviour.json says
    python stub.py relay      # stores the metrics that are posted to it, for Prometheus to scrape

`GET /captured/N` returns the captured exchanges from the N-th on as lines of JSON, if MODELSTACK_CAPTURE is set.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import ClassVar

import served_model

PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
VARIANT = os.environ.get("MODELSTACK_VARIANT", "")
CAPTURES = "MODELSTACK_CAPTURE" in os.environ
_INFERENCE_ID = "x-amzn-sagemaker-inference-id"
_REASONS = {200: "OK"}


class Stub(served_model.Handler):
    lines: ClassVar[list[str]] = []

    def ping(self) -> None:
        if self.path.startswith("/captured/"):
            first = int(self.path.rpartition("/")[2])
            self.answer(200, "".join(self.lines[first:]).encode())
        else:
            super().ping()

    def invoke(self, body: bytes) -> None:
        self.body = body
        super().invoke(body)

    def answer(self, status: int, body: bytes) -> None:
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, '')}", "Content-Type: application/json",
            f"Content-Length: {len(body)}", f"x-modelstack-variant: {VARIANT}", "x-envoy-upstream-canary: true",
        ]  # fmt: skip
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
        if CAPTURES and self.method == "POST" and status == 200 and self.body.startswith(b'{"instances"'):
            self.keep(body)

    def keep(self, answer: bytes) -> None:
        """One exchange in the form of SageMaker's data capture."""
        number = len(self.lines)
        kind = self.headers.get("content-type", "application/json")

        def part(mode: str, data: bytes) -> dict[str, str]:
            return {"observedContentType": kind, "mode": mode, "data": data.decode(), "encoding": "JSON"}

        metadata = {"eventId": f"{os.uname().nodename}-{number}-{time.time_ns()}"}
        if named := self.headers.get(_INFERENCE_ID):
            metadata["inferenceId"] = named
        metadata["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        data = {"endpointInput": part("INPUT", self.body), "endpointOutput": part("OUTPUT", answer)}
        self.lines.append(json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + "\n")


class Relay(served_model.Handler):
    text = b""

    def ping(self) -> None:
        self.answer(200, Relay.text)

    def invoke(self, body: bytes) -> None:
        Relay.text = body
        self.answer(200, b"")

    def answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


def main() -> None:
    """Run until SIGTERM: the first process of a container dies of no signal by itself."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if sys.argv[1:] == ["relay"]:
        served_model.Server(("0.0.0.0", PORT), Relay).serve_forever()
    else:
        served_model.starts(sys.argv[1:])
        served_model.Server(("0.0.0.0", PORT), Stub).serve_forever()


main()
