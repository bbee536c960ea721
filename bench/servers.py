"""The serving runtime and its peers as running servers, each a process of its own.

with runtime(environment) as ours, uvicorn("asgi", "asgi_app", folder) as peer:
    ours.asked(body, Load(connections=8)).found.per_second
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import ROOT
from bench.bed import BenchError
from bench.peers import PROGRAMS, python_of
from localcloud.testing import free_port
from modelstack.cli.loadtest import Load, LoadResult, LoadTarget, run

_START = 60.0
_MLSERVER = {
    "name": "model",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./trees.joblib"},
}


@dataclass(frozen=True)
class Spent:
    """What processes took of the machine, in seconds.

    Attributes:
        ran: On a core.
        waited: For one, while others had it. 0 where the system does not tell, as outside Linux.
    """

    ran: float
    waited: float

    @classmethod
    def by(cls, processes: Sequence[psutil.Process]) -> Spent:
        """Of some processes, since they began."""
        found = [_scheduled(file) for one in processes for file in Path(f"/proc/{one.pid}/task").glob("*/schedstat")]
        return cls(sum(ran for ran, _ in found), sum(waited for _, waited in found))

    def since(self, before: Spent) -> Spent:
        """What came on top."""
        return Spent(self.ran - before.ran, self.waited - before.waited)


@dataclass(frozen=True)
class Asked:
    """A load, and what it took.

    Attributes:
        found: What came back.
        server: What the server's processes took.
        client: What this process took.
    """

    found: LoadResult
    server: Spent
    client: Spent


@dataclass(frozen=True)
class Server:
    """A running server: where it is asked, and its first process."""

    target: LoadTarget
    process: psutil.Process

    def asked(self, body: bytes, load: Load) -> Asked:
        """Put a load on it.

        Raises:
            BenchError: It did not answer every request with 200.
        """
        own, all_of_it = [psutil.Process()], [self.process, *self.process.children(recursive=True)]
        server, client = Spent.by(all_of_it), Spent.by(own)
        found = run(self.target, body, load)
        if found.statuses.keys() != {200}:
            raise BenchError(f"{self.target.path} of {self.process.name()} answered {dict(found.statuses)}")
        return Asked(found, Spent.by(all_of_it).since(server), Spent.by(own).since(client))


@contextmanager
def runtime(environment: Mapping[str, str], port: int | None = None) -> Generator[Server]:
    """The serving runtime, on a port of one's own or a free one."""
    port = port or free_port()
    command = [sys.executable, "-m", "modelstack.serving", "serve"]
    with _process(command, ROOT, {**environment, "SAGEMAKER_BIND_TO_PORT": str(port)}, port, "/ping") as process:
        yield Server(LoadTarget("127.0.0.1", port), process)


@contextmanager
def uvicorn(peer: str, program: str, folder: Path) -> Generator[Server]:
    """An app of `peer_programs`, by uvicorn."""
    port = free_port()
    command = [str(python_of(peer)), "-m", "uvicorn", f"{program}:app", "--port", str(port), "--no-access-log"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}
    with _process([*command, "--log-level", "warning"], folder, environment, port, "/docs") as process:
        yield Server(LoadTarget("127.0.0.1", port), process)


@contextmanager
def bentoml(folder: Path) -> Generator[Server]:
    """BentoML with scikit-learn."""
    port = free_port()
    command = [str(python_of("bentoml").with_name("bentoml")), "serve", "bentoml_service:Model"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", "."]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}
    environment |= {"BENTOML_HOME": str(folder.with_name("bentoml")), "BENTOML_DO_NOT_TRACK": "True"}
    with _process(command, folder, environment, port, "/readyz") as process:
        yield Server(LoadTarget("127.0.0.1", port), process)


@contextmanager
def mlserver(folder: Path) -> Generator[Server]:
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
        yield Server(LoadTarget("127.0.0.1", port, "/v2/models/model/infer"), process)


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


def _scheduled(file: Path) -> tuple[float, float]:
    """Seconds that a thread ran, and that it waited for a core (Linux, Documentation/scheduler/sched-stats.rst)."""
    ran, waited, _ = file.read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9
