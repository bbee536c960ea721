"""Nodes that are not there, whose pods are ready at once: kwok, built once a version from its Go module.

with fake_nodes(place, 50):
    ...                              # pods with NODE in their spec run on them
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ROOT
from bench.bed import BenchError
from bench.kubernetes.place import Place, at_once, until
from localcloud.setup import Installer, Places, SetupFailed, golang
from modelstack.platforms.kubernetes.kinds import NODE

VERSION = "v0.8.0"
_LABEL, _TAINT = "bench.modelstack.dev/fake", "bench.modelstack.dev/fake"
SCHEDULING = {"nodeSelector": {_LABEL: "true"}, "tolerations": [{"key": _TAINT, "operator": "Exists"}]}
"""What a pod's spec says to run there."""
_MODULE = Path(__file__).parent / "modules" / "kwok"
_PROGRAM, _SOURCE = "sigs.k8s.io/kwok/cmd/kwok", "sigs.k8s.io/kwok"
_STAGES = ("pod/fast", "node/fast", "node/heartbeat")


@contextmanager
def fake_nodes(place: Place, count: int) -> Iterator[None]:
    """Run kwok and so many nodes of its own, until the block ends.

    Raises:
        BenchError: It cannot be built, or the nodes do not come up.
    """
    try:
        program, stages = _provided()
    except SetupFailed as error:
        raise BenchError(f"kwok {VERSION}: {error}") from error
    names = [f"{place.api.namespace}-{number}" for number in range(count)]
    command = [
        str(program), f"--config={stages}", f"--kubeconfig={os.environ['KUBECONFIG']}",
        f"--manage-nodes-with-label-selector={_LABEL}=true",
    ]  # fmt: skip
    with (place.folder / "kwok.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            at_once(lambda number: place.api.create(NODE, _node(names[number])), range(count))
            until(lambda: all(_is_ready(place, name) for name in names), f"{count} fake nodes are ready")
            yield
        finally:
            at_once(lambda number: place.api.delete(NODE, names[number]), range(count))
            process.terminate()
            process.wait()


def _node(name: str) -> dict[str, object]:
    labels = {_LABEL: "true", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": _TAINT, "value": "true", "effect": "NoSchedule"}]},
    }


def _is_ready(place: Place, name: str) -> bool:
    said = place.api.get(NODE, name).get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in said)


def _provided() -> tuple[Path, Path]:
    """The program, and what it does with pods and nodes; both are made if need be.

    Raises:
        SetupFailed: It cannot be built.
    """
    places = Places.of(ROOT)
    content = (_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()
    folder = places.cache / f"bench-kwok-{hashlib.sha256(content).hexdigest()[:12]}"
    program, stages = folder / "bin" / "kwok", folder / "stages.yaml"
    if not (program.exists() and stages.exists()):
        _build(places, program, stages)
    return program, stages


def _build(places: Places, program: Path, stages: Path) -> None:
    log = places.logs / "kwok.log"
    with golang.found(places, Installer(places), _MODULE) as go:
        golang.build(go, golang.Build(f"kwok {VERSION}", _MODULE, (_PROGRAM,)), program.parent, log)
        source = golang.source(go, _MODULE, _SOURCE, log) / "kustomize" / "stage"
        files = [file for stage in _STAGES for file in sorted((source / stage).glob("*-*.yaml"))]
        new = stages.with_suffix(".new")
        new.write_text("\n---\n".join(file.read_text() for file in files))
        shutil.move(new, stages)
