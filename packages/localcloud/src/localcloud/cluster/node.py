"""Starts the node, mends it, and takes it away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from localcloud.cluster import configs, database, leftovers, processes
from localcloud.cluster.api import Api
from localcloud.cluster.layout import API_URL, LINK, NAMESPACE, NODE_NAME, REGISTRY, Layout
from localcloud.cluster.pki import Authority, Identity
from localcloud.cluster.programs import ADMIN, CLIENTS, KUBELET_SERVER, Program, network, programs
from localcloud.setup.failures import SetupFailed

_READY_SECONDS = 180.0
_POLL = 0.1


def start(layout: Layout, binaries: Mapping[str, Path], api: Api, pushed: Callable[[], str]) -> None:
    """Start what does not run, and return when the node takes pods.

    Args:
        layout: Where it lies.
        binaries: Name -> path of each program.
        api: Its API server.
        pushed: Called when the registry answers. Pushes the image that holds a pod's namespaces; gives its reference.

    Raises:
        SetupFailed: It does not become ready; the message ends with what the programs said last.
    """
    leftovers.claim(layout)
    authority = _write(layout)
    _connect(layout)
    wanted = programs(layout, binaries, authority, database.programs())
    _start(layout, wanted, "registry")
    _wait(layout, _listens, "the registry")
    _keep(layout.configs / "containerd.toml", configs.containerd(layout, pushed()))
    for program in wanted:
        if not program.after_api and program.name != "postgresql":
            _start(layout, wanted, program.name)
    database.prepare(layout)
    _start(layout, wanted, "postgresql")
    _wait(layout, api.ready, "the API server")
    _wait(layout, lambda: _accepts(layout.socket), "containerd")
    begun = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    started = [program.name for program in wanted if program.after_api and _start(layout, wanted, program.name)]
    _wait(layout, lambda: ready(api, begun if "kubelet" in started else ""), "the node")


def missing(layout: Layout, binaries: Mapping[str, Path]) -> list[str]:
    """The names of the programs that do not run."""
    return [name for name, program in _named(layout, binaries).items() if not processes.found(layout, program)]


def kill(layout: Layout, binaries: Mapping[str, Path], names: Sequence[str]) -> None:
    """End some of the programs at once, as a fault would.

    Raises:
        SetupFailed: There is no such program; nothing was ended.
    """
    named = _named(layout, binaries)
    for name in names:
        if name not in named:
            raise SetupFailed(f"{name!r} is no program of the cluster: it has {', '.join(named)}")
    for name in names:
        processes.kill(layout, named[name])


def _named(layout: Layout, binaries: Mapping[str, Path]) -> dict[str, Program]:
    listed = programs(layout, binaries, Authority(layout.pki), database.programs())
    return {program.name: program for program in listed}


def ready(api: Api, since: str = "") -> bool:
    """Whether the node takes pods.

    Args:
        api: The API server.
        since: An answer of the kubelet's from before this time does not count, `YYYY-MM-DDTHH:MM:SSZ`.
    """
    condition = "{.status.conditions[?(@.type=='Ready')]"
    asked = api.kubectl(
        "get", "node", NODE_NAME, "-o", f"jsonpath={condition}.status}} {condition}.lastHeartbeatTime}}"
    )
    status, _, heard = asked.stdout.partition(" ")
    return asked.returncode == 0 and status == "True" and heard >= since


def stop(layout: Layout) -> None:
    """End all of it and forget it: processes, containers, mounts, network, state.

    Raises:
        SetupFailed: A process does not end.
    """
    leftovers.remove(layout)
    shutil.rmtree(layout.state, ignore_errors=True)


def forget(layout: Layout) -> None:
    """Remove the files of a cluster that does not run, while another one does."""
    leftovers.unmount(layout.state)
    shutil.rmtree(layout.state, ignore_errors=True)


def _write(layout: Layout) -> Authority:
    own = layout.configs
    for folder in (layout.state, layout.logs, own / "cni", own / "certs.d" / REGISTRY, layout.rules):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority(layout.pki)

    def asks(client: Identity) -> str:
        return configs.kubeconfig(API_URL, authority.certificate, *authority.issue(client))

    _keep(layout.kubeconfig, asks(ADMIN))
    for client in CLIENTS:
        _keep(layout.kubeconfig_of(client.name), asks(client))
    serving = authority.issue(KUBELET_SERVER)
    _keep(own / "kubelet.yaml", configs.kubelet(layout, authority.certificate, *serving))
    _keep(own / "resolv.conf", "")
    _keep(own / "registry.yml", configs.registry(layout))
    _keep(own / "certs.d" / REGISTRY / "hosts.toml", configs.plain_registry())
    _keep(own / "cni" / "10-localcluster.conflist", configs.network(layout))
    _keep(own / "prometheus.yml", configs.prometheus(layout))
    if not layout.alertmanager.exists():
        _keep(layout.alertmanager, configs.alertmanager())
    return authority


def _connect(layout: Layout) -> None:
    """Make the network, unless it is there and whole."""
    if Path("/run/netns", NAMESPACE).exists():
        if linked():
            return
        processes.end_all(layout)  # nothing of it can be reached any more
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True, check=False)
    for words in network():
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupFailed(f"The cluster's network cannot be made: {' '.join(words)}: {done.stderr.strip()}")


def linked() -> bool:
    """Whether the network that this process is in leads to the node; /sys may be that of another one."""
    return LINK in [name for _, name in socket.if_nameindex()]


def _start(layout: Layout, wanted: tuple[Program, ...], name: str) -> bool:
    """Start a program unless it runs; whether it did not."""
    program = next(program for program in wanted if program.name == name)
    told = [word.rpartition("=")[2] for word in program.command]
    version = processes.version_of(program, [Path(word) for word in told if word.startswith(f"{layout.configs}/")])
    if processes.running(layout, program, version):
        return False
    processes.start(layout, program, version)
    return True


def _wait(layout: Layout, held: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not held():
        if time.monotonic() > end:
            raise SetupFailed(f"After {_READY_SECONDS:g} s {what} is not ready:\n{_said(layout)}", f"See {layout.logs}")
        time.sleep(_POLL)


def _said(layout: Layout) -> str:
    """The last lines of each log."""
    said = {log.stem: log.read_text(errors="replace").splitlines()[-2:] for log in sorted(layout.logs.iterdir())}
    return "\n".join(f"    {name}: {line[:300]}" for name, lines in said.items() for line in lines)


def _listens() -> bool:
    host, _, port = REGISTRY.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked, suppress(OSError):
        asked.connect(str(path))
        return True
    return False


def _keep(path: Path, text: str) -> None:
    """Write a file that only root reads, whole or not at all."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(new, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    new.replace(path)
