"""How fast does the serving runtime answer, beside what a team would else use?

    python -m bench runtime

One machine, one client (`modelstack.cli.loadtest`), one process for each server, one after the other in turns, the same
sealed package of the default model. The peers come from PyPI, each in an environment of its own: a bare ASGI app over
ONNX Runtime with the same trees, which neither checks nor counts; FastAPI and BentoML, with pydantic and scikit-learn;
and MLServer.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from bench import ROOT, arrays, tail
from bench.rows import Row, sized
from bench.servers import Server, bentoml, mlserver, runtime, uvicorn
from localcloud.setup import Installer, Places, cached
from localcloud.testing import free_port
from modelstack.cli.loadtest import Load
from modelstack.pipeline import archive
from modelstack.pipeline.build import build
from modelstack.pipeline.recipe import recipe

_TURNS, _SECONDS = 5, 4.0
_RESTARTS = 20
_BATCH = 1000
_HOSTILE = 2000
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


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
class _Rate:
    """What a server came to in its turns.

    Attributes:
        per_second: Requests a second, the median.
        cpu: Seconds on a core that a request took of the server's processes, the least. On a machine that others use it
            is steadier than what a clock tells: they only add to it, by what they take of the caches.
    """

    per_second: float
    cpu: float


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
            *_arrays(Path(name), ours),
            *_beside_others(folder, ours, example, one),
            *tail.rows(folder, ours, one),
            *_alone(ours, one),
            *_restarted(ours, one),
            _attacked(ours, one),
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
    with runtime(ours) as plain, runtime(captures) as capturing, uvicorn("asgi", "asgi_app", folder) as peer:
        alone = _in_turns([plain, peer], one, connections=1)
        busy = _in_turns([plain, peer, capturing], one, connections=32)
        batches = _in_turns([plain, peer], many, connections=2)
    with uvicorn("fastapi", "fastapi_app", folder) as usual, runtime(ours) as plain:
        of_rows = _in_turns([plain, usual], many, connections=2)
    return [
        _against("serving_vs_asgi_ort_1", alone[0], alone[1], ">= 1", "one connection; a bare ASGI app"),
        _cpu(alone[0], alone[1]),
        _against("serving_vs_asgi_ort_32", busy[0], busy[1], ">= 1", "32 connections; a bare ASGI app"),
        _against("serving_vs_asgi_ort_captured", busy[2], busy[1], ">= 0.9", "32 connections, every request captured"),
        _against(
            "serving_rows_vs_fastapi", of_rows[0], of_rows[1], ">= 3", f"{_BATCH} rows a request; FastAPI", rows=_BATCH
        ),
        _against(
            "serving_rows_vs_asgi_ort", batches[0], batches[1], ">= 1", f"{_BATCH} rows a request; ASGI", rows=_BATCH
        ),
    ]


def _arrays(folder: Path, ours: Mapping[str, str]) -> list[Row]:
    variables, body = arrays.served(folder)
    ours = {**ours, **variables}
    captures = {**ours, "MODELSTACK_CAPTURE": f"file://{folder}/array-captures"}
    code = folder / "arrays" / "code" / "model"
    with runtime(ours) as plain, runtime(captures) as capturing, uvicorn("asgi", "asgi_arrays", code) as peer:
        alone = _in_turns([plain, peer], body, connections=1)
        busy = _in_turns([plain, peer, capturing], body, connections=32)
    what = f"an array of {arrays.NUMBERS:,} numbers a request; a bare ASGI app"
    return [
        _against("serving_arrays_vs_asgi_ort_1", alone[0], alone[1], ">= 0.9", f"one connection, {what}"),
        _against("serving_arrays_vs_asgi_ort_32", busy[0], busy[1], ">= 0.9", f"32 connections, {what}"),
        _against("serving_arrays_captured", busy[2], busy[1], ">= 0.9", f"the same, with summaries captured, {what}"),
    ]


def _beside_others(folder: Path, ours: Mapping[str, str], example: Mapping[str, Any], one: bytes) -> list[Row]:
    with runtime(ours) as plain, uvicorn("fastapi", "fastapi_app", folder) as peer:
        of_fastapi = _in_turns([plain, peer], one, connections=32)
    with runtime(ours) as plain, bentoml(folder) as peer:
        of_bentoml = _in_turns([plain, peer], one, connections=32)
    beside = folder.with_name("mlserver")
    beside.mkdir()
    subprocess.run([sys.executable, "-c", _TREES, folder / "model.joblib", beside / "trees.joblib"], check=True)
    with runtime(ours) as plain, mlserver(beside) as peer:
        of_mlserver = _in_turns(
            [plain, peer], one, _tensor(joblib.load(folder / "model.joblib"), example), connections=32
        )
    return [
        _against(
            "serving_vs_fastapi",
            of_fastapi[0],
            of_fastapi[1],
            ">= 5",
            "32 connections; FastAPI, pydantic and scikit-learn",
        ),
        _against(
            "serving_vs_bentoml", of_bentoml[0], of_bentoml[1], ">= 5", "32 connections; BentoML and scikit-learn"
        ),
        _against(
            "serving_vs_mlserver",
            of_mlserver[0],
            of_mlserver[1],
            ">= 10",
            "32 connections; MLServer with the trees alone",
        ),
    ]


def _in_turns(servers: Sequence[Server], *bodies: bytes, connections: int) -> list[_Rate]:
    """The rate of each server; the last body is that of the last server."""
    load = Load(seconds=_SECONDS if sized(2, 1) > 1 else 0.2, connections=connections)
    found: list[list[_Rate]] = [[] for _ in servers]
    for _ in range(sized(_TURNS, 1)):
        for place, server in enumerate(servers):
            asked = server.asked(bodies[-1] if place == len(servers) - 1 else bodies[0], load)
            each = asked.server.ran / asked.found.statuses[200]
            found[place].append(_Rate(asked.found.per_second, each))
    return [_Rate(statistics.median(one.per_second for one in turns), min(one.cpu for one in turns)) for turns in found]


def _against(name: str, ours: _Rate, peer: _Rate, goal: str, beside: str, *, rows: int = 1) -> Row:
    what = "rows" if rows > 1 else "requests"
    told = f"{beside}: {ours.per_second * rows:,.0f} {what} a second, beside {peer.per_second * rows:,.0f}"
    return Row(name, round(ours.per_second / peer.per_second, 2), "ratio", goal, told)


def _cpu(ours: _Rate, peer: _Rate) -> Row:
    told = (
        f"CPU of a request on one connection: {ours.cpu * 1e6:.0f} microseconds, "
        f"of a bare ASGI app {peer.cpu * 1e6:.0f}"
    )
    return Row("serving_cpu_vs_asgi_ort", round(ours.cpu / peer.cpu, 2) if peer.cpu else 0.0, "ratio", "<= 1", told)


def _alone(ours: Mapping[str, str], one: bytes) -> list[Row]:
    starts: list[float] = []
    for _ in range(sized(5, 1)):
        begun = time.monotonic()
        with runtime(ours):
            starts.append(time.monotonic() - begun)
    with runtime(ours) as server:
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
        with runtime(ours, port):
            time.sleep(0.5)
    stop.set()
    for client in clients:
        client.join()
    told = f"{restarts} restarts by SIGTERM under the load of 4 clients, {answered[0]:,} answered"
    return [Row("drain_lost", lost[0], "requests", "== 0", told)]


def _attacked(ours: Mapping[str, str], one: bytes) -> Row:
    """The most memory of a worker while hostile clients attack in every way of
    `packages/modelstack/tests/serving/hostile.py`.
    """
    connections, seconds = sized(_HOSTILE, 50), sized(20, 2)
    with runtime(ours) as server:
        server.asked(one, Load(seconds=sized(4, 1) / 2, connections=8))
        (worker,) = server.process.children()
        idle = worker.memory_info().rss
        words = [server.target.port, "/invocations", connections, seconds]
        command = [sys.executable, ROOT / "packages/modelstack/tests" / "serving" / "hostile.py", *map(str, words)]
        attack = json.loads(subprocess.run(command, input=one, stdout=subprocess.PIPE, check=True).stdout)
        status = Path(f"/proc/{worker.pid}/status").read_text()
        most = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    told = (
        f"{connections:,} hostile connections: {most / 2**20:.0f} MB, idle {idle / 2**20:.0f} MB; "
        f"{attack['answered']} of {attack['sent']} honest requests answered, the slowest in {attack['slowest']:.1f} s"
    )
    return Row("worker_memory_hostile_ratio", round(most / idle, 2), "ratio", "< 2", told)


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
        subprocess.run(["sh", ROOT / "packages/modelstack/src/modelstack/serving" / "slim.sh", libraries], check=True)
        sizes = {path.name: _megabytes(path) for path in libraries.iterdir()}
    before = round(sum(sum(file.size or 0 for file in metadata.files(name) or []) for name in _BEFORE) / 2**20)
    most = ", ".join(f"{name} {sizes[name]:.0f}" for name in sorted(sizes, key=lambda name: -sizes[name])[:4])
    told = f"libraries beyond the base: {most}; before {before}"
    return Row("image_mb", round(sum(sizes.values())), "MB", f"<= {before // 2}", told)


def _megabytes(path: Path) -> float:
    files = (file for file in path.rglob("*") if file.suffix != ".pyc") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def _tensor(estimator: Any, example: Mapping[str, Any]) -> bytes:
    """The example as MLServer is asked: one row of numbers, its texts already encoded."""
    row = np.array([[np.nan if one is None else one for one in example.values()]], dtype=object)
    codes = np.nan_to_num(np.asarray(estimator[:-1].transform(row), dtype=float))
    tensor = {"name": "rows", "shape": list(codes.shape), "datatype": "FP64", "data": codes.ravel().tolist()}
    asked = {"parameters": {"content_type": "np"}, "inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    return json.dumps(asked).encode()
