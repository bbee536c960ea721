"""What a cluster needs of the machine: root, Debian, and its packages, which root is given."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from localcloud.cluster.layout import MOST_CHARACTERS, Layout
from localcloud.setup.commands import answer, run
from localcloud.setup.failures import SetupFailed
from localcloud.setup.progress import step

PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "docker-registry": "docker-registry",
    "debootstrap": "debootstrap",  # a first image comes from somewhere, and no public registry is asked
    "buildah": "buildah",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
}
"""Program or file -> Debian's package that has it."""
_POLICY = Path("/usr/sbin/policy-rc.d")
_REFUSES = "#!/bin/sh\nexit 101\n"


def lacking() -> list[str]:
    """Debian's packages that are missing, sorted."""
    return sorted({package for program, package in PACKAGES.items() if not _there(program)})


def unfit(layout: Layout) -> str:
    """Why no cluster can run on this machine; empty when one can."""
    if platform.system() != "Linux":
        return f"it takes Linux, and this is {platform.system()}"
    if os.geteuid() != 0:
        return "it takes root, for network namespaces and containers"
    if answer(["unshare", "--net", "--mount", "true"]) is None:
        return "root may not make network namespaces and mounts here, as in a container without privileges"
    if lacking() and shutil.which("apt-get") is None:
        return f"it takes Debian's packages {', '.join(lacking())}, and there is no apt-get to install them with"
    if len(str(layout.state)) > MOST_CHARACTERS:
        return f"the path {layout.state} has more than {MOST_CHARACTERS} characters, and sockets lie below it"
    return ""


def provide(layout: Layout, log: Path) -> None:
    """See that the cluster can run on this machine, and install Debian's packages that it lacks.

    Args:
        layout: Where the cluster will be.
        log: Where apt's output goes.

    Raises:
        SetupFailed: It cannot; nothing was changed.
    """
    if why := unfit(layout):
        raise SetupFailed(f"No cluster can run here: {why}", "The local cloud needs none of this.")
    if not (wanted := lacking()):
        return
    environ = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Install {', '.join(wanted)} from Debian") as shown, _nothing_started():
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wanted]):
            run(["apt-get", *words], what=f"apt-get {words[0]}", log=log, environ=environ, line=shown.at)


@contextmanager
def _nothing_started() -> Generator[None]:
    """Let no package start its service: invoke-rc.d(8) asks this file, which belongs to whoever administers."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_REFUSES)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _there(program: str) -> bool:
    return any(Path("/").glob(program[1:])) if program.startswith("/") else shutil.which(program) is not None
