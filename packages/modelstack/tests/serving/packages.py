"""Small packages, and servers of them, made from the contract alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud.testing import free_port

ROOT = Path(__file__).resolve().parents[4]
FEATURES: list[dict[str, Any]] = [
    {"name": "distance", "kind": "number", "optional": False, "low": 0, "high": 12000, "unit": "miles"},
    {"name": "gust", "kind": "number", "optional": True},
    {"name": "carrier", "kind": "text", "optional": False, "pattern": "[A-Z]{2}", "example": "UA"},
    {"name": "class", "kind": "text", "optional": True, "categories": ["first", "second"]},
    {"name": "night", "kind": "boolean", "optional": False},
]
INSTANCE = {"distance": 100, "gust": 1.5, "carrier": "UA", "class": "first", "night": False}
CODE = """
import os, signal, time
from modelstack.serving.sealed import Sealed

def load(folder):
    return Sealed(None)

def predict(model, rows):
    miles = rows.table[:, 0].astype(float)
    return {"late": miles > 1000, "score": miles / 12000}
"""
"""A model that answers by `distance` alone."""


def write(folder: Path, code: str = CODE, features: Sequence[Mapping[str, Any]] = FEATURES, **changes: Any) -> str:
    """Write an unpacked package; returns its manifest's digest. `changes` also has `instance` and `weights` (files)."""
    (folder / "code" / "model").mkdir(parents=True)
    files: dict[str, str | bytes] = {
        "code/model/__init__.py": "",
        "code/model/serving.py": code,
        "features.json": json.dumps(features),
        "metrics.json": json.dumps({"summary": {"auc": 0.7}}),
        "example.json": json.dumps({"instances": [changes.pop("instance", INSTANCE)]}),
    }
    files |= changes.pop("weights", {})
    content = {name: file.encode() if isinstance(file, str) else file for name, file in files.items()}
    for name, written in content.items():
        (folder / name).write_bytes(written)
    manifest: dict[str, Any] = {
        "recipe": "ab" * 32,
        "parameters": {},
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "libraries": {},
        "server": "usual",
        "files": {name: hashlib.sha256(written).hexdigest() for name, written in content.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def failures(self) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.said if line.startswith("{"))
        return [line for line in lines if line["event"] == "request failed"]

    def ask(self, body: Any, path: str = "/invocations", **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Send a request; returns status, JSON and headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request = urllib.request.Request(self.url + path, data, given)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers

    def predictions(self, *instances: Mapping[str, Any]) -> list[Any]:
        status, answer, _ = self.ask({"instances": list(instances)})
        assert status == 200, answer
        return answer["predictions"]

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def count(self, name: str, **labels: str) -> float:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families

        families = text_string_to_metric_families(self.get("/metrics")[1].decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def started(
    folder: Path, manifest_sha256: str, descriptors: int = 0, *, command: str = "serve", **environment: str
) -> subprocess.Popen[str]:
    """Start a server with at most so many descriptors a process."""
    settings = {
        "PATH": os.environ["PATH"],
        "SM_MODEL_DIR": str(folder),
        "MODELSTACK_MANIFEST_SHA256": manifest_sha256,
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        **environment,
    }
    words = [sys.executable, "-m", "modelstack.serving", command]
    if descriptors:
        words = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *words]
    return subprocess.Popen(words, env=settings, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@contextmanager
def served(folder: Path, manifest_sha256: str, descriptors: int = 0, **environment: str) -> Iterator[Server]:
    port = free_port()
    process = started(folder, manifest_sha256, descriptors, SAGEMAKER_BIND_TO_PORT=str(port), **environment)
    server = Server(process, port)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                if server.get("/ping")[0] == 200:
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, server.said
                time.sleep(0.02)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def refused(folder: Path, manifest_sha256: str, **environment: str) -> tuple[int, str]:
    """The exit status and last line of a server that does not start."""
    process = started(folder, manifest_sha256, **{"SAGEMAKER_BIND_TO_PORT": str(free_port()), **environment})
    said = process.communicate(timeout=60)[1]
    return process.returncode, re.sub(r"\s+", " ", said.strip().splitlines()[-1])
