"""How fast does the serving runtime answer, beside what a team would else use?

    python -m bench runtime

One machine, one client (`cli.loadtest`), one process for each server, one after the other in turns, the same sealed
package of the default model. The peers come from PyPI, each in an environment of its own: a bare ASGI app over ONNX
Runtime with the same trees, which neither checks nor counts; FastAPI and BentoML, with pydantic and scikit-learn; and
MLServer.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil

from bench.bed import BenchError
from bench.peers import PROGRAMS, python_of
from bench.rows import Row, sized
from cli.loadtest import Found, Load, Target, run
from cli.target import ROOT
from localcloud.setup import Installer, Places, cached
from localcloud.testing import free_port
from pipeline import archive
from pipeline.build import build
from pipeline.recipe import recipe

_TURNS, _SECONDS = 5, 4.0
_RESTARTS = 20
_BATCH = 1000
_START = 60.0
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_MLSERVER = {
    "name": "model",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./trees.joblib"},
}


_TREES = """
import sys, joblib
trees = joblib.load(sys.argv[1])[-1]
encoder = trees._preprocessor.named_transformers_["encoder"]  # fitted on objects, and MLServer sends numbers
encoder.categories_ = [one.astype(float) for one in encoder.categories_]
joblib.dump(trees, sys.argv[2])
"""
"""Writes the trees alone. A process of its own: what else is loaded here changes how functions are pickled."""


_BEFORE = (
    *("joblib", "narwhals", "numpy", "scikit-learn", "scipy", "threadpoolctl"),
    *("anyio", "click", "h11", "idna", "starlette", "typing-extensions", "uvicorn"),
)
"""What the image held while each model brought a server on Starlette and scikit-learn."""


@dataclass(frozen=True)
class _Server:
    """A running server: where it is asked, and its processes."""

    target: Target
    process: psutil.Process

    def asked(self, body: bytes, load: Load) -> Found:
        found = run(self.target, body, load)
        if found.statuses.keys() != {200}:
            raise BenchError(f"{self.target.path} of {self.process.name()} answered {dict(found.statuses)}")
        return found


def rows() -> list[Row]:
    """All rows of the serving runtime."""
    sealed = build(ROOT, recipe(ROOT, {}), progress=lambda _: None)
    with tempfile.TemporaryDirectory(prefix="modelstack-bench-") as name:
        folder = Path(name) / "model"
        archive.unpack(sealed.path, folder)
        (asked,) = json.loads((folder / "example.json").read_bytes())["instances"]
        example = {one["name"]: asked[one["name"]] for one in json.loads((folder / "features.json").read_bytes())}
        one = json.dumps({"instances": [example]}).encode()
        many = json.dumps({"instances": [example] * _BATCH}).encode()
        ours = _ours(folder, sealed.manifest_sha256)
        found = [
            *_beside_asgi(folder, ours, one, many),
            *_beside_others(folder, ours, example, one),
            _tail(folder, ours, one),
            *_alone(ours, one),
            *_restarted(ours, one),
        ]
    return [*found, _image()]


def _ours(folder: Path, manifest: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SM_MODEL_DIR": str(folder),
        "MODELSTACK_MANIFEST_SHA256": manifest,
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
    }


def _beside_asgi(folder: Path, ours: Mapping[str, str], one: bytes, many: bytes) -> list[Row]:
    captures = {**ours, "MODELSTACK_CAPTURE": f"file://{folder.parent}/captures"}
    with _runtime(ours) as plain, _runtime(captures) as capturing, _uvicorn("asgi", "asgi_app", folder) as peer:
        alone = _in_turns([plain, peer], one, connections=1)
        busy = _in_turns([plain, peer, capturing], one, connections=32)
        batches = _in_turns([plain, peer], many, connections=2)
    with _uvicorn("fastapi", "fastapi_app", folder) as usual, _runtime(ours) as plain:
        of_rows = _in_turns([plain, usual], many, connections=2)
    return [
        _against("serving_vs_asgi_ort_1", alone[0], alone[1], ">= 1", "one connection; a bare ASGI app"),
        _against("serving_vs_asgi_ort_32", busy[0], busy[1], ">= 1", "32 connections; a bare ASGI app"),
        _against("serving_vs_asgi_ort_captured", busy[2], busy[1], ">= 0.9", "32 connections, every request captured"),
        _against(
            "serving_rows_vs_fastapi", of_rows[0], of_rows[1], ">= 3", f"{_BATCH} rows a request; FastAPI", rows=_BATCH
        ),
        _against(
            "serving_rows_vs_asgi_ort", batches[0], batches[1], ">= 1", f"{_BATCH} rows a request; ASGI", rows=_BATCH
        ),
    ]


def _beside_others(folder: Path, ours: Mapping[str, str], example: Mapping[str, Any], one: bytes) -> list[Row]:
    with _runtime(ours) as plain, _uvicorn("fastapi", "fastapi_app", folder) as peer:
        fastapi = _in_turns([plain, peer], one, connections=32)
    with _runtime(ours) as plain, _bentoml(folder) as peer:
        bentoml = _in_turns([plain, peer], one, connections=32)
    beside = folder.with_name("mlserver")
    beside.mkdir()
    subprocess.run([sys.executable, "-c", _TREES, folder / "model.joblib", beside / "trees.joblib"], check=True)
    with _runtime(ours) as plain, _mlserver(beside) as peer:
        mlserver = _in_turns([plain, peer], one, _tensor(joblib.load(folder / "model.joblib"), example), connections=32)
    return [
        _against(
            "serving_vs_fastapi", fastapi[0], fastapi[1], ">= 5", "32 connections; FastAPI, pydantic and scikit-learn"
        ),
        _against("serving_vs_bentoml", bentoml[0], bentoml[1], ">= 5", "32 connections; BentoML and scikit-learn"),
        _against(
            "serving_vs_mlserver", mlserver[0], mlserver[1], ">= 10", "32 connections; MLServer with the trees alone"
        ),
    ]


def _in_turns(servers: Sequence[_Server], *bodies: bytes, connections: int) -> list[float]:
    """Requests a second of each server, the median of several turns; the last body is that of the last server."""
    load = Load(seconds=_SECONDS if sized(2, 1) > 1 else 0.2, connections=connections)
    found: list[list[float]] = [[] for _ in servers]
    for _ in range(sized(_TURNS, 1)):
        for place, server in enumerate(servers):
            body = bodies[-1] if place == len(servers) - 1 else bodies[0]
            found[place].append(server.asked(body, load).per_second)
    return [statistics.median(each) for each in found]


def _against(name: str, ours: float, peer: float, goal: str, beside: str, *, rows: int = 1) -> Row:
    what = "rows" if rows > 1 else "requests"
    told = f"{beside}: {ours * rows:,.0f} {what} a second, beside {peer * rows:,.0f}"
    return Row(name, round(ours / peer, 2), "ratio", goal, told)


def _tail(folder: Path, ours: Mapping[str, str], one: bytes) -> Row:
    """How far p99 is from p50 at half of the greatest load. A bare ASGI app's says how much of it is the machine's."""
    with _runtime(ours) as plain, _uvicorn("asgi", "asgi_app", folder) as peer:
        (ratio, told), (_, beside) = _half_loaded(plain, one), _half_loaded(peer, one)
    return Row(
        "serving_p99_over_p50", round(ratio, 1), "ratio", "<= 4", f"8 connections, {told}; a bare ASGI app, {beside}"
    )


def _half_loaded(server: _Server, body: bytes) -> tuple[float, str]:
    seconds = 10.0 if sized(2, 1) > 1 else 0.3
    most = server.asked(body, Load(seconds=seconds / 2, connections=8)).per_second
    half = server.asked(body, Load(rate=most / 2, seconds=seconds, connections=8))
    told = f"half of {most:,.0f} a second: p50 {half.at(50) * 1e3:.2f} ms, p99 {half.at(99) * 1e3:.2f} ms"
    return half.at(99) / half.at(50), told


def _alone(ours: Mapping[str, str], one: bytes) -> list[Row]:
    starts: list[float] = []
    for _ in range(sized(5, 1)):
        begun = time.monotonic()
        with _runtime(ours):
            starts.append(time.monotonic() - begun)
    with _runtime(ours) as server:
        server.asked(one, Load(seconds=sized(4, 1) / 2, connections=8))
        processes = [server.process, *server.process.children(recursive=True)]
        resident = [process.memory_info().rss / 2**20 for process in processes]
        shared = sum(process.memory_full_info().pss for process in processes) / 2**20
    listed = ", ".join(f"{one:.0f}" for one in resident)
    return [
        Row("cold_start_s", round(statistics.median(starts), 2), "s", "<= 1", "from process start to /ping"),
        Row(
            "serving_rss_mb",
            round(sum(resident), 1),
            "MB",
            "<= 120",
            f"{listed}; {shared:.0f} if shared pages count once",
        ),
    ]


def _restarted(ours: Mapping[str, str], one: bytes) -> list[Row]:
    """Restarts by SIGTERM under load: what was sent on an open connection and had no answer is lost."""
    port = free_port()
    stop, lost, answered = threading.Event(), [0], [0]
    clients = [threading.Thread(target=_asks, args=(port, one, stop, lost, answered)) for _ in range(4)]
    for client in clients:
        client.start()
    restarts = sized(_RESTARTS, 1)
    for _ in range(restarts):
        with _runtime(ours, port):
            time.sleep(0.5)
    stop.set()
    for client in clients:
        client.join()
    told = f"{restarts} restarts by SIGTERM under the load of 4 clients, {answered[0]:,} answered"
    return [Row("drain_lost", lost[0], "requests", "== 0", told)]


def _asks(port: int, body: bytes, stop: threading.Event, lost: list[int], answered: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        try:
            if connection.sock is None:
                connection.connect()
        except OSError:
            time.sleep(0.01)
            continue
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            answered[0] += 1
        except (OSError, http.client.HTTPException):
            lost[0] += 1
            connection.close()
    connection.close()


def _image() -> Row:
    """What the libraries of the serving image weigh, beside those that served a model with scikit-learn before."""
    places = Places.of(ROOT)
    installed = cached(places, Installer(places), places.lock("serving")) / "lib"
    with tempfile.TemporaryDirectory() as folder:
        libraries = shutil.copytree(installed, Path(folder) / "lib") / f"python{_PYTHON}" / "site-packages"
        subprocess.run(["sh", ROOT / "serving" / "slim.sh", libraries], check=True)
        sizes = {path.name: _megabytes(path) for path in libraries.iterdir()}
    before = round(sum(sum(file.size or 0 for file in metadata.files(name) or []) for name in _BEFORE) / 2**20)
    most = ", ".join(f"{name} {sizes[name]:.0f}" for name in sorted(sizes, key=lambda name: -sizes[name])[:4])
    told = f"libraries beyond the base: {most}; before {before}"
    return Row("image_mb", round(sum(sizes.values())), "MB", f"<= {before // 2}", told)


def _megabytes(path: Path) -> float:
    files = (file for file in path.rglob("*") if file.suffix != ".pyc") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


@contextmanager
def _runtime(environment: Mapping[str, str], port: int | None = None) -> Generator[_Server]:
    port = port or free_port()
    command = [sys.executable, "-m", "serving", "serve"]
    with _process(command, ROOT, {**environment, "SAGEMAKER_BIND_TO_PORT": str(port)}, port, "/ping") as process:
        yield _Server(Target("127.0.0.1", port), process)


@contextmanager
def _uvicorn(peer: str, program: str, folder: Path) -> Generator[_Server]:
    port = free_port()
    command = [str(python_of(peer)), "-m", "uvicorn", f"{program}:app", "--port", str(port), "--no-access-log"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}
    with _process([*command, "--log-level", "warning"], folder, environment, port, "/docs") as process:
        yield _Server(Target("127.0.0.1", port), process)


@contextmanager
def _bentoml(folder: Path) -> Generator[_Server]:
    port = free_port()
    command = [str(python_of("bentoml").with_name("bentoml")), "serve", "bentoml_service:Model"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", "."]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}
    environment |= {"BENTOML_HOME": str(folder.with_name("bentoml")), "BENTOML_DO_NOT_TRACK": "True"}
    with _process(command, folder, environment, port, "/readyz") as process:
        yield _Server(Target("127.0.0.1", port), process)


@contextmanager
def _mlserver(folder: Path) -> Generator[_Server]:
    """MLServer with the same trees: its codec for tables makes texts that scikit-learn's encoder does not take.

    One process answers: its default, a pool of them, is slower here.
    """
    port, grpc, measured = free_port(), free_port(), free_port()
    settings = {"http_port": port, "grpc_port": grpc, "metrics_port": measured, "parallel_workers": 0}
    settings |= {"host": "127.0.0.1", "debug": False, "access_log": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(_MLSERVER))
    command = [str(python_of("mlserver").with_name("mlserver")), "start", "."]
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    with _process(command, folder, environment, port, "/v2/models/model/ready") as process:
        yield _Server(Target("127.0.0.1", port, "/v2/models/model/infer"), process)


def _tensor(estimator: Any, example: Mapping[str, Any]) -> bytes:
    """The example as MLServer is asked: one row of numbers, its texts already encoded."""
    row = np.array([[np.nan if one is None else one for one in example.values()]], dtype=object)
    codes = np.nan_to_num(np.asarray(estimator[:-1].transform(row), dtype=float))
    tensor = {"name": "rows", "shape": list(codes.shape), "datatype": "FP64", "data": codes.ravel().tolist()}
    asked = {"parameters": {"content_type": "np"}, "inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    return json.dumps(asked).encode()


@contextmanager
def _process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], port: int, path: str
) -> Generator[psutil.Process]:
    """A server that answers a path, until it is told to end."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + _START
            while not _answers(port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise BenchError(f"{command[0]} does not serve: {said.read().decode()[-3000:]}")
                time.sleep(0.01)
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except urllib.error.HTTPError:
        return path == "/docs"  # an app without that page, but an app
    except OSError:
        return False
