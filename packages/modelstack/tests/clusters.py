"""The cluster of this checkout, for whoever needs a real one: started when the first test asks for it.

`make test` ends it again, unless it ran before.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from localcloud.testing.cluster import install_plugin
from modelstack.cli.local.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
_NETWORK, _NODE, _CLONE_NEWNET = "/run/netns/localcluster", "10.99.0.1", 0x40000000
_VARIABLES = ("KUBECONFIG", "LOCALCLUSTER_DATABASE")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that runs, and Pulumi's plugin for it; until the block ends, this process's environment points at it.

    Where the environment names a cluster already, it is that one.

    Raises:
        OperatorError: It cannot be started; what it said has been shown.
        SetupFailed: The plugin cannot be had.
    """
    install_plugin(ROOT)
    with patch.dict(os.environ):
        here = Cluster.here()
        if not all(map(os.environ.get, _VARIABLES)):
            here.start()
        yield here


@contextmanager
def reached(port: int) -> Iterator[str]:
    """Let the cluster's pods reach a server of this machine's 127.0.0.1; the URL to reach it by, here too."""
    listening = _in_the_cluster_s_network(lambda: socket.create_server((_NODE, 0)))

    def carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while block := one.recv(1 << 16):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):  # closed
            while True:
                theirs, _ = listening.accept()
                ours = socket.create_connection(("127.0.0.1", port))
                for pair in ((theirs, ours), (ours, theirs)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://{_NODE}:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _in_the_cluster_s_network(make: Callable[[], socket.socket]) -> socket.socket:
    """A socket keeps the network that it was made in; a thread may enter one for itself."""

    def enter() -> socket.socket:
        handle = os.open(_NETWORK, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {_NETWORK}")
        finally:
            os.close(handle)
        return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()


def runs() -> bool:
    """Whether this checkout's cluster runs."""
    return _told("status") == 0


def end() -> None:
    """End it."""
    _told("down")


def _told(verb: str) -> int:
    command = [sys.executable, "-m", "localcloud.cluster", "--root", str(ROOT), verb]
    return subprocess.run(command, capture_output=True, check=False).returncode
