"""What stands around an endpoint in a cluster, played by hand: Pulumi, the gateway, the Deployments' controller, pods.

world = World(api, patch)
world.serves("w1", variant="v-1")      # a ready workload
world.gateway_follows()                # the gateway has taken the route as it stands
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    PACKAGE,
    PATCH_POLICY,
    POD,
    ROLLOUT,
    ROUTE,
    SERVICE,
    ResourceKind,
)
from modelstack.platforms.kubernetes.rules import weights
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.sticky import policy
from modelstack.platforms.kubernetes.workloads import SERVICE_NAME

IN_MEMORY = ["memory"]
BOTH = [*IN_MEMORY, pytest.param("real", marks=[pytest.mark.needs("apiserver"), pytest.mark.slow])]
on_both = pytest.mark.parametrize("world", BOTH, indirect=True)
"""Of a module whose WORLDS are IN_MEMORY: a test of what a real API server may answer differently."""
ENDPOINT, GATEWAY = "flight-delay-test", "models"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
Patch = Callable[[ResourceKind, str, Mapping[str, Any], str], None]
"""Sets fields of an object in the name of somebody, whosever they are."""
CRASH = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "r/serving@sha256:0": not found'}}


class TestClock:
    """A clock that stands still unless it is told to go on."""

    __test__ = False

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class World:
    api: Api
    patch: Patch

    def declare(self) -> None:
        """What Pulumi declares of an endpoint: the route without rules, and the Rollout."""
        parents = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GATEWAY}]
        self.api.apply(ROUTE, {"metadata": {"name": ENDPOINT}, "spec": {"parentRefs": parents}}, names.PROGRAM)
        spec = RolloutSpec("test", "flight-delay", GATEWAY, "http://prometheus.monitoring:9090")
        self.api.apply(ROLLOUT, {"metadata": {"name": ENDPOINT}, "spec": spec.as_dict()}, names.PROGRAM)

    def config(self, config: ServingConfig) -> None:
        data = {names.CONTENT: config.to_json()}
        self.api.create(CONFIG_MAP, {"metadata": {"name": config.name}, "data": data, "immutable": True})

    def workload(self, name: str, *, ready: int = 1, replicas: int = 1) -> None:
        """A Deployment with its Service, so many pods of which are ready."""
        labels = {"workload": name}
        container = {"name": "serving", "image": "r/serving@sha256:0"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.api.create(DEPLOYMENT, {"metadata": {"name": name}, "spec": spec})
        self.api.create(SERVICE, {"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 8080}]}})
        self.endpoints(name, ready)

    def endpoints(self, name: str, ready: int, *, unready: int = 0) -> None:
        """Let so many pods of a workload get requests, and so many others none."""
        made = [(True, at) for at in range(ready)] + [(False, at) for at in range(ready, ready + unready)]
        self.api.apply(
            ENDPOINT_SLICE,
            {
                "metadata": {"name": f"{name}-s", "labels": {SERVICE_NAME: name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [f"10.1.0.{at + 1}"], "conditions": {"ready": is_}} for is_, at in made],
            },
            "endpointslice-controller",
            force=True,
        )

    def pod(
        self, workload: str, state: Mapping[str, Any], *, last: str = "", exit_code: int = 1, lost: float | None = None
    ) -> None:
        """A pod whose container is in a state, having said something when it ended before.

        With `lost` it was ready until so many seconds ago.
        """
        name = f"{workload}-{uuid.uuid4().hex[:5]}"
        spec = {"containers": [{"name": "serving", "image": "r/serving@sha256:0"}]}
        made = self.api.create(POD, {"metadata": {"name": name, "labels": {"workload": workload}}, "spec": spec})
        ended = {"exitCode": exit_code, "reason": "Error", "message": last, "startedAt": None, "finishedAt": None}
        container = {
            "name": "serving", "image": "r/serving", "imageID": "", "ready": False, "started": False, "restartCount": 2,
            "state": state, "lastState": {"terminated": ended} if last else {},
        }  # fmt: skip
        said = [] if lost is None else [("Initialized", "True", 7200.0), ("Ready", "False", lost)]
        conditions = [{"type": kind, "status": is_, "lastTransitionTime": _ago(ago)} for kind, is_, ago in said]
        self._status(POD, made, {"phase": "Pending", "containerStatuses": [container], "conditions": conditions})

    def without_a_node(self, workload: str) -> None:
        """A pod that no node has room for."""
        spec = {"containers": [{"name": "serving", "image": "r/serving@sha256:0"}]}
        metadata = {"name": f"{workload}-{uuid.uuid4().hex[:5]}", "labels": {"workload": workload}}
        made = self.api.create(POD, {"metadata": metadata, "spec": spec})
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
        self._status(POD, made, {"phase": "Pending", "conditions": [{**condition, "lastTransitionTime": _ago(7200)}]})

    def deployment(self, name: str, **conditions: tuple[str, str, float]) -> None:
        """What the Deployments' controller says: condition -> status, reason, and for how many seconds."""
        said = [
            {"type": kind, "status": status, "reason": reason, "lastTransitionTime": _ago(ago)}
            for kind, (status, reason, ago) in conditions.items()
        ]
        self._status(DEPLOYMENT, self.api.get(DEPLOYMENT, name), {"conditions": said})

    def pods_of(self, name: str, pods: int) -> None:
        """What the Deployments' controller says once it has seen how many pods a Deployment is to have."""
        found = self.api.get(DEPLOYMENT, name)
        self._status(DEPLOYMENT, found, {"observedGeneration": found["metadata"]["generation"], "replicas": pods})

    def gateway_follows(self, *, accepted: str = "True", behind: int = 0, resolved: str = "ResolvedRefs") -> None:
        """The gateway's word on the route as it stands, or on one that was there before."""
        route = self.api.get(ROUTE, ENDPOINT)
        generation = route["metadata"]["generation"] - behind
        conditions = [
            _condition("Accepted", accepted, "Accepted" if accepted == "True" else "NoMatchingParent", generation),
            _condition("ResolvedRefs", str(resolved == "ResolvedRefs"), resolved, generation),
        ]
        parent = {
            "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GATEWAY},
            "controllerName": CONTROLLER,
            "conditions": conditions,
        }
        self._status(ROUTE, route, {"parents": [parent]})

    def sticky(self, header: str, **conditions: tuple[str, str]) -> None:
        """What Pulumi declares for sticky keys, and what the gateway says: condition -> status and reason."""
        wanted = policy(ENDPOINT, self.api.namespace, GATEWAY, ["http"], header)
        made = self.api.apply(PATCH_POLICY, wanted, names.PROGRAM)
        if not conditions:
            return
        said = [
            _condition(kind, status, reason, made["metadata"]["generation"])
            for kind, (status, reason) in conditions.items()
        ]
        ancestor = {"ancestorRef": {"name": GATEWAY}, "controllerName": CONTROLLER, "conditions": said}
        self._status(PATCH_POLICY, made, {"ancestors": [ancestor]})

    def package(self, name: str) -> None:
        spec = {"digest": f"sha256:{'0' * 64}", "archive": f"oci://r/models@sha256:{'0' * 64}"}
        self.api.create(PACKAGE, {"metadata": {"name": name}, "spec": spec})

    @property
    def route(self) -> Object:
        return self.api.get(ROUTE, ENDPOINT)

    def weights(self) -> dict[str, int]:
        """Workload -> weight, for all requests."""
        return weights(self.route["spec"].get("rules") or [])

    def events(self) -> list[Object]:
        return [item for item in self.api.list(EVENT) if item["involvedObject"]["name"] == ENDPOINT]

    def _status(self, kind: ResourceKind, obj: Object, status: Object) -> None:
        metadata = {key: item for key, item in obj["metadata"].items() if key != "managedFields"}
        self.api.replace_status(kind, {**obj, "metadata": metadata, "status": status})


def solo(workload: str, variant: str) -> ServingConfig:
    return ServingConfig(workload, Backend(variant, workload))


def pair(one: ServingConfig, other: ServingConfig, copied: int | None = None) -> ServingConfig:
    name = f"{one.name}-and-{other.name}{'' if copied is None else f'-{copied}'}"
    return ServingConfig(name, one.champion, other.champion, copied)


def _condition(kind: str, status: str, reason: str, generation: int) -> Object:
    return {
        "type": kind, "status": status, "reason": reason, "message": "by the test", "observedGeneration": generation,
        "lastTransitionTime": _ago(0),
    }  # fmt: skip


def _ago(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
