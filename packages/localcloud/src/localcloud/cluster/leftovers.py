"""What a cluster leaves on the machine outside of its state folder, whatever it is told: found and removed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from localcloud.cluster import processes
from localcloud.cluster.layout import LINK, NAMESPACE, RUN, Layout

_OWNER = RUN / "owner"
_SHIM_SOCKETS = Path("/run/containerd/s")
_RESULTS = Path("/var/lib/cni/results")
_POD_LOGS = Path("/var/log/containers")
_DEVICES = Path("/var/lib/kubelet/device-plugins")


def claim(layout: Layout) -> None:
    """Make the folder in /run this cluster's; what an ended cluster of another checkout left there is removed first."""
    if _OWNER.exists() and (owner := _OWNER.read_text()) != str(layout.state):
        remove(Layout(Path(owner)))
    RUN.mkdir(exist_ok=True)
    RUN.chmod(0o711)  # the database's user passes
    _OWNER.write_text(str(layout.state))


def remove(layout: Layout) -> None:
    """End what still runs of a cluster, and remove all that is on the machine, other than its state folder.

    Raises:
        SetupFailed: A process does not end.
    """
    processes.end_all(layout)
    unmount(RUN, layout.state)
    for words in (["ip", "link", "del", LINK], ["ip", "netns", "del", NAMESPACE]):
        subprocess.run(words, capture_output=True, check=False)
    shutil.rmtree(RUN, ignore_errors=True)
    for path in (*_SHIM_SOCKETS.glob("*"), _DEVICES / "kubelet.sock"):
        _unlink_socket(path)
    for sandbox in (layout.containerd / "root/io.containerd.grpc.v1.cri/sandboxes").glob("*"):
        for result in _RESULTS.glob(f"*-{sandbox.name}-*"):
            result.unlink(missing_ok=True)
    for link in _POD_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{layout.state}/"):
            link.unlink(missing_ok=True)
    for folder in (_RESULTS, _RESULTS.parent, _POD_LOGS, _DEVICES, _DEVICES.parent):
        with suppress(OSError):
            folder.rmdir()  # unless others have something in it


def unmount(*folders: Path) -> None:
    """Unmount all below some folders: what containers, volumes and network namespaces of pods left there."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = tuple(f"{folder}/" for folder in folders)
    for point in sorted((point for point in points if point.startswith(below)), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def _unlink_socket(path: Path) -> None:
    """Remove a socket on which nobody listens any more."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return
