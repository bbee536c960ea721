"""A place to measure in: a namespace of this checkout's cluster, gone when the measuring is done."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import yaml

from bench import ROOT
from bench.bed import BenchError
from modelstack.cli.local.cluster import CONTEXT, Cluster
from modelstack.cli.target import LOCAL_CLUSTER
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.kinds import CRD, DEPLOYMENT, NAMESPACE
from modelstack.rollout.core.errors import RolloutError

PATIENCE = 300.0
"""Seconds for anything that comes by itself; loose, for the machine may be busy."""
_VARIABLES = ("KUBECONFIG", "LOCALCLUSTER_DATABASE")


@dataclass(frozen=True)
class Place:
    """A namespace.

    Attributes:
        api: The API server, for that namespace.
        folder: For files; gone when the place is.
        section: `modelstack:kubernetes` of a stack in it.
    """

    api: Api
    folder: Path
    section: dict[str, Any]

    def kubectl(self, *words: str, namespace: str = "") -> str:
        """What kubectl prints.

        Raises:
            BenchError: It fails.
        """
        command = ["kubectl", "--context", CONTEXT, "-n", namespace or self.api.namespace, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        if done.returncode:
            raise BenchError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def ready(self, deployment: str) -> None:
        """Wait until all pods that a Deployment should have are ready, and no other one of it is left to start."""

        def is_so() -> bool:
            found = self.api.get(DEPLOYMENT, deployment)
            wanted, status = found["spec"].get("replicas", 1), found.get("status") or {}
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            return bool(seen and status.get("readyReplicas", 0) == wanted == status.get("replicas", 0))

        until(is_so, f"the pods of {deployment} are ready")


@contextmanager
def place() -> Iterator[Place]:
    """Make a namespace that pods have no rights in; the cluster is started for it where none runs.

    Raises:
        BenchError: The cluster refuses.
    """
    name = f"bench-{uuid.uuid4().hex[:8]}"
    written = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{LOCAL_CLUSTER}.yaml").read_text())
    # The definitions are made here: a stack that declared them would take those of all others with it.
    section: dict[str, Any] = {**written["config"]["modelstack:kubernetes"], "namespace": name, "definitions": False}
    path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    with patch.dict(os.environ, {"PATH": path}), _cluster() as cluster, TemporaryDirectory(prefix=name) as folder:
        made = Place(Api.of(section["context"], name), Path(folder), section)
        try:
            for definition in definitions():
                found = made.api.find(CRD, definition["metadata"]["name"])
                if found is None or _fields(definition) - _fields(found):
                    made.api.apply(CRD, definition, names.PROGRAM, force=True)
            cluster.prepare(section)
            yield made
        except RolloutError as error:
            raise BenchError(str(error)) from error
        finally:
            with suppress(RolloutError):
                made.api.delete(NAMESPACE, name)
                until(lambda: made.api.find(NAMESPACE, name) is None, f"namespace {name} is gone")
            made.api.close()


def at_once(do: Callable[[int], object], numbers: Iterable[int], most: int = 6) -> None:
    """Do something for each number, for some of them at a time; the first failure is raised."""
    with ThreadPoolExecutor(most) as pool:
        list(pool.map(do, numbers))


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until something is so; when that was seen, monotonic seconds.

    Raises:
        BenchError: It did not come in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise BenchError(f"it did not come within {seconds:.0f} s that {what}")
        time.sleep(0.2)
    return time.monotonic()


def _fields(definition: Mapping[str, Any]) -> set[str]:
    """The fields that a definition knows in the spec of its kind."""
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return set(schema["properties"]["spec"]["properties"])


@contextmanager
def _cluster() -> Iterator[Cluster]:
    """The cluster that the environment names, else this checkout's; one that is started for this is ended again."""
    here = Cluster.here()
    if all(map(os.environ.get, _VARIABLES)):
        yield here
        return
    ran = _told("status") == 0
    try:
        here.start()
        yield here
    finally:
        if not ran:
            _told("down")


def _told(verb: str) -> int:
    command = [sys.executable, "-m", "localcloud.cluster", "--root", str(ROOT), verb]
    return subprocess.run(command, capture_output=True, check=False).returncode
