"""A namespace with a Gateway, and the product's own controller as the Pulumi program makes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelstack.platforms.kubernetes import gateway
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.kinds import LEASE, POD
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.program.config.kubernetes_settings import KubernetesSettings
from modelstack.program.kubernetes.controller import manifests
from modelstack.rollout.core.errors import RolloutError
from tests.conformance.cluster.objects import RESTRICTED
from tests.conformance.cluster.objects import gateway as gateway_of
from tests.platforms.load import wait_for

ROOT = Path(__file__).resolve().parents[4]
CLUSTER = Path(os.environ.get("FAULTS_ROOT", ROOT))  # the box has its own folder
GATEWAY = "faults"
PROMETHEUS = "http://10.99.0.1:9090"
SCRIPTS = "scripts"  # the ConfigMap with the programs of the stages' own containers
SLOW = 240.0  # seconds for anything of the cluster's; loose, for the machine may be busy
_SKEW = """
import datetime, os, time
_seconds, _time, _datetime = float(os.environ["SKEW"]), time.time, datetime.datetime
time.time = lambda: _time() + _seconds
class datetime_(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.fromtimestamp(time.time(), tz)
datetime.datetime = datetime_
"""  # Python's sitecustomize: the process's clock is off by so many seconds


def cluster(*words: str) -> None:
    command = [sys.executable, "-m", "localcloud.cluster", "--root", str(CLUSTER), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"


@dataclass
class Site:
    """A namespace, whose controllers' clock is off by `skew` seconds."""

    namespace: str
    image: str
    skew: float = 0.0
    controllers: int = 2
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api.of(None, self.namespace)

    def make(self) -> None:
        self.apply([*({**one, "apiVersion": "apiextensions.k8s.io/v1"} for one in definitions())])
        established = ("wait", "crd/rollouts.modelstack.dev", "--for=condition=Established", "--timeout=60s")
        # kubectl refuses to wait for a condition as long as there is none at all.
        wait_for(lambda: self.tried(*established).returncode == 0, SLOW, "the custom resources of this project")
        settings = KubernetesSettings(prometheus=PROMETHEUS)
        each = manifests(self.namespace, settings, None, self.image)
        deployment = each["deployment"]["spec"]
        deployment["replicas"] = self.controllers
        # Its part of a machine that other tests share: what it asks for is little on one of its own.
        deployment["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "100m"
        if self.skew:
            _shift(deployment["template"]["spec"], self.skew)
        model = Path(__file__).with_name("cluster_model.py").read_text()
        self.apply(
            [
                _object("v1", "Namespace", self.namespace, labels=RESTRICTED),
                _object("v1", "ConfigMap", SCRIPTS, data={"model.py": model, "sitecustomize.py": _SKEW}),
                {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", **gateway_of(GATEWAY)},
                *each.values(),
            ]
        )
        self.kubectl("rollout", "status", f"deployment/{CONTROLLER}", f"--timeout={SLOW:.0f}s")
        wait_for(self._programmed, SLOW, f"the gateway of {self.namespace}")

    @property
    def url(self) -> str:
        return gateway.url(self.api, GATEWAY)

    def apply(self, objects: Sequence[Mapping[str, Any]], manager: str = "modelstack-pulumi") -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-")
        self.kubectl(*words, given=json.dumps(whole))

    def kubectl(self, *words: str, given: str | None = None) -> str:
        done = self.tried(*words, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def tried(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, whether it fails or not."""
        command = [str(CLUSTER / ".venv" / "bin" / "kubectl"), "--namespace", self.namespace, *words]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=SLOW, env=dict(os.environ)
        )

    def leader(self) -> str:
        """The pod that holds the controllers' Lease."""

        def held() -> str:
            found = self.api.find(LEASE, CONTROLLER) or {}
            holder = (found.get("spec") or {}).get("holderIdentity") or ""
            return holder if holder and self.api.find(POD, holder) is not None else ""

        return str(wait_for(held, SLOW, "a controller that leads"))

    def _programmed(self) -> bool:
        try:
            return (
                bool(self.url)
                and not self.tried(
                    "wait", f"gateway/{GATEWAY}", "--for=condition=Programmed", "--timeout=60s"
                ).returncode
            )
        except RolloutError:
            return False


def _object(api_version: str, kind: str, name: str, *, labels: Any = None, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels or {}}, **rest}


def _shift(pod: dict[str, Any], seconds: float) -> None:
    """Let the clock of a pod's Python be off."""
    container = pod["containers"][0]
    container["env"] += [{"name": "SKEW", "value": str(seconds)}, {"name": "PYTHONPATH", "value": "/skew:/opt/runtime"}]
    container["volumeMounts"].append({"name": "skew", "mountPath": "/skew", "readOnly": True})
    pod["volumes"].append({"name": "skew", "configMap": {"name": SCRIPTS}})
