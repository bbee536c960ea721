"""Where do local stacks on Kubernetes run? The cluster of this machine, and what a stack finds in it."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.errors import OperatorError
from cli.local.stack import Stack
from cli.target import ROOT
from localcloud.setup import Places
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import NAMESPACE, SECRET

CONTEXT = "localcluster"
_MANAGER = "modelstack-local"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def on_cluster(stack: Stack) -> bool:
    """Whether a stack's file says that it is in a cluster."""
    return (stack.written().get("config") or {}).get("modelstack:platform") == "kubernetes"


@dataclass(frozen=True)
class Cluster:
    """The cluster of one checkout.

    Attributes:
        places: The checkout.
    """

    places: Places

    @classmethod
    def here(cls) -> Cluster:
        """That of this checkout."""
        return cls(Places.of(ROOT))

    def start(self) -> None:
        """Start the cluster, or mend what is missing; this process's environment points at it then.

        Raises:
            OperatorError: It cannot be started; what it said has been shown.
        """
        if self._run("up").returncode:
            raise OperatorError("the cluster does not run")
        told = self._run("env", stdout=subprocess.PIPE).stdout
        words = (word for line in told.splitlines() for word in shlex.split(line)[1:])  # export NAME=value
        os.environ.update(dict(word.split("=", 1) for word in words))

    def prepare(self, section: Mapping[str, Any]) -> None:
        """Make the namespace of a stack, for pods without rights, and the Secret with the database's URL.

        Args:
            section: `modelstack:kubernetes` of the stack's file.

        Raises:
            RolloutError: The API server refuses.
        """
        namespace = section["namespace"]
        api = Api.of(section["context"], namespace)
        api.apply(NAMESPACE, {"metadata": {"name": namespace, "labels": _RESTRICTED}}, _MANAGER)
        url = os.environ["LOCALCLUSTER_DATABASE"]
        secret = {
            "metadata": {"name": section["database_secret"]},
            "data": {"url": base64.b64encode(url.encode()).decode()},
        }
        api.apply(SECRET, secret, _MANAGER)

    def _run(self, verb: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "localcloud.cluster", "--root", str(self.places.root), verb]
        return subprocess.run(
            command, cwd=self.places.root, stdin=subprocess.DEVNULL, stdout=stdout, text=True, check=False
        )
