"""Starts the node, mends it, and takes it away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from localcloud.cluster import configs, database, processes
from localcloud.cluster.api import Api
from localcloud.cluster.layout import API_URL, LINK, NAMESPACE, NODE_NAME, REGISTRY, RUN, Layout
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
    for program in wanted:
        if program.after_api:
            _start(layout, wanted, program.name)
    _wait(layout, lambda: ready(api), "the node")


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


def ready(api: Api) -> bool:
    """Whether the node takes pods."""
    shown = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    asked = api.kubectl("get", "node", NODE_NAME, "-o", shown)
    return asked.returncode == 0 and asked.stdout == "True"


def stop(layout: Layout) -> bool:
    """End all of it and forget it: processes, containers, mounts, network, state.

    Returns:
        Whether there was anything.
    """
    there = layout.state.exists() or Path("/run/netns", NAMESPACE).exists()
    processes.end_all(layout)
    _unmount(RUN, layout.state)
    for words in (["ip", "link", "del", LINK], ["ip", "netns", "del", NAMESPACE]):
        subprocess.run(words, capture_output=True, check=False)
    for folder in (RUN, layout.state):
        shutil.rmtree(folder, ignore_errors=True)
    for link in Path("/var/log/containers").glob("*.log"):  # the kubelet makes them there, whatever it is told
        if link.is_symlink() and str(link.readlink()).startswith(f"{layout.state}/"):
            link.unlink(missing_ok=True)
    return there


def forget(layout: Layout) -> None:
    """Remove the files of a cluster that does not run."""
    _unmount(layout.state)
    shutil.rmtree(layout.state, ignore_errors=True)


def _write(layout: Layout) -> Authority:
    own = layout.configs
    for folder in (layout.state, layout.logs, own / "cni", own / "certs.d" / REGISTRY, layout.rules, RUN):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    RUN.chmod(0o711)  # the database's user passes
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
        if Path("/sys/class/net", LINK).exists():
            return
        processes.end_all(layout)  # nothing of it can be reached any more
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True, check=False)
    for words in network():
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupFailed(f"The cluster's network cannot be made: {' '.join(words)}: {done.stderr.strip()}")


def _start(layout: Layout, wanted: tuple[Program, ...], name: str) -> None:
    program = next(program for program in wanted if program.name == name)
    told = [word.rpartition("=")[2] for word in program.command]
    version = processes.version_of(program, [Path(word) for word in told if word.startswith(f"{layout.configs}/")])
    if not processes.running(layout, program, version):
        processes.start(layout, program, version)


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


def _unmount(*folders: Path) -> None:
    """Unmount all below some folders: what containers, volumes and network namespaces of pods left there."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = tuple(f"{folder}/" for folder in folders)
    for point in sorted((point for point in points if point.startswith(below)), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def _keep(path: Path, text: str) -> None:
    """Write a file that only root reads."""
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
