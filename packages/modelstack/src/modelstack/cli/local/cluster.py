"""The local cluster, for local stacks on Kubernetes."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.setup import Places
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import project_root
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import NAMESPACE, SECRET

CONTEXT = "localcluster"
_MANAGER = "modelstack-local"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def on_cluster(stack: Stack) -> bool:
    """Whether a stack's file chooses Kubernetes."""
    return (stack.written().get("config") or {}).get("modelstack:platform") == "kubernetes"


@dataclass(frozen=True)
class Cluster:
    """The cluster of one checkout."""

    places: Places

    @classmethod
    def here(cls) -> Cluster:
        """This checkout's cluster."""
        return cls(Places.of(project_root()))

    def start(self) -> None:
        """Start or repair the cluster, and point this process's environment at it; OperatorError if that fails."""
        if self._run("up").returncode:
            raise OperatorError("the cluster does not run")
        told = self._run("env", stdout=subprocess.PIPE).stdout
        words = (word for line in told.splitlines() for word in shlex.split(line)[1:])  # export NAME=value
        os.environ.update(dict(word.split("=", 1) for word in words))

    def prepare(self, section: Mapping[str, Any]) -> None:
        """Create a stack's namespace (restricted pods) and the Secret with the database's URL.

        `section` is `modelstack:kubernetes` of the stack's file. RolloutError if the API server refuses.
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
