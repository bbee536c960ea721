"""The cluster of this checkout, for whoever needs a real one: started when the first test asks for it.

`make test` ends it again, unless it ran before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from cli.local.cluster import Cluster
from localcloud.testing.cluster import install_plugin

ROOT = Path(__file__).resolve().parents[1]
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


def runs() -> bool:
    """Whether this checkout's cluster runs."""
    return _told("status") == 0


def end() -> None:
    """End it."""
    _told("down")


def _told(verb: str) -> int:
    command = [sys.executable, "-m", "localcloud.cluster", "--root", str(ROOT), verb]
    return subprocess.run(command, capture_output=True, check=False).returncode
