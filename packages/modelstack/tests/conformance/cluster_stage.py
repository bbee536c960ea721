"""A stage in a cluster: an endpoint of a site, with pods that behave as configured, under load.

The controllers in the cluster run the rollouts. The stage does what an update does: it declares and releases.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.assembled import Assembled, assembled
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import EVENT, POD
from modelstack.platforms.kubernetes.names import API_VERSION, CONTENT, PORT, ROLLOUT, VARIANT, Names
from modelstack.platforms.kubernetes.names import PACKAGE as MODEL_PACKAGE
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.program.kubernetes.pod import CONTAINER_SECURITY, POD_SECURITY, disruption_budget, environment
from modelstack.program.kubernetes.rights import own_rights, workload_rights
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.conformance.cluster import objects
from tests.conformance.cluster.alarms import Rules
from tests.conformance.cluster.load import GatewayLoad, Wanted
from tests.conformance.cluster_site import GATEWAY, PROMETHEUS, SCRIPTS, SLOW, Site
from tests.conformance.row import QUICK, Row
from tests.conformance.stage import Act, Message, Stage, nothing
from tests.platforms.aws.on_cloud import BODY
from tests.platforms.load import RATE, wait_for

PATIENCE = 1000.0  # seconds for a trial; loose, for the machine may be busy
LONG = replace(QUICK, max_seconds=900)  # no trial times out because the machine is busy
LOGIN, RIGHT = "login", "right"
_FETCH = f"""
import os, sys
if os.environ["PASSWORD"] != "{RIGHT}":
    print("the registry answers 401")
    sys.exit(4)
"""
_SHA = "0" * 64


@dataclass(frozen=True)
class Pods:
    """The pods of a release.

    Attributes:
        behaviour: See `cluster_model.py`.
        deadline: Seconds in which the Deployment must be available.
        logs_in: Whether an init container fetches first, and exits with 4, as the product's does, until the Secret
            LOGIN has the password RIGHT.
    """

    behaviour: Mapping[str, Any] = field(default_factory=dict[str, Any])
    memory: str = "96Mi"
    image: str = ""
    deadline: int = 180
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    logs_in: bool = False


@dataclass
class SiteStage(Stage):
    site: Site
    name: str
    pods: int = 1
    prometheus: str = PROMETHEUS
    releases: dict[str, Release] = field(default_factory=dict[str, Release])

    def __post_init__(self) -> None:
        self.names = Names(self.name, "test", self.site.namespace)
        self.host = f"{self.name}.example"
        self.journal = KubernetesJournal(self.site.api, self.names.prefix)
        self.ran, self._began = [], 0.0

    def declare(self) -> None:
        """What Pulumi declares of an endpoint: the route without rules, the Rollout, and the controller's rights."""
        workloads = {self.backend(role).variant: self.backend(role).workload for role in ("champion", "challenger")}
        Rules(self.site.api, self.names.prefix, workloads).write()
        spec = RolloutSpec("test", self.name, GATEWAY, self.prometheus, host=self.host, period_seconds=2)
        self.spec = spec
        route = {"parentRefs": [{"name": GATEWAY}], "hostnames": [self.host]}
        self.site.apply(
            [
                self._object("gateway.networking.k8s.io/v1", "HTTPRoute", self.names.prefix, spec=route),
                self._object(API_VERSION, ROLLOUT, self.names.prefix, spec=spec.as_dict()),
                *own_rights(self.names),
            ]
        )

    def release(self, role: str, **behaviour: Any) -> Release:
        pods = Pods(**behaviour)
        workload = f"{self.names.prefix}-{role}"
        self.releases[role] = Release(
            role, role, f"sha256:{_SHA}", f"oci://10.99.0.1:5000/m@sha256:{_SHA}", self.site.image, _SHA,
            f"{self.site.namespace}/{workload}", workload, f"v-{role}", workload, f"{self.pods} x {pods.memory}",
        )  # fmt: skip
        package = {"digest": f"sha256:{_SHA}", "recipe": role, "image": self.site.image, "manifestSha256": _SHA}
        budget = disruption_budget({"workload": workload})["spec"]
        ports = [{"port": PORT}]
        service = {"selector": {"workload": workload}, "ports": ports}
        archive = {"archive": self.releases[role].archive_uri, "metrics": {}}
        self.site.apply(
            [
                self._config(ServingConfig(workload, self.backend(role))),
                self._object(API_VERSION, MODEL_PACKAGE, workload, spec={**package, **archive}),
                self._object("v1", "Service", workload, spec=service),
                self._object("policy/v1", "PodDisruptionBudget", workload, spec=budget),
                self._object("apps/v1", "Deployment", workload, spec=self._deployment(role, pods)),
                *workload_rights(self.site.namespace, workload),
            ]
        )
        return self.releases[role]

    def serve(self, role: str) -> None:
        self.declare()
        self.comes_up(role)
        self.begin(role, LONG)
        self.settled()
        until_true(self._answers, SLOW, f"answers of {role}")

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.post(
                f"{self.site.url}/invocations", content=BODY, headers=Wanted(self.host).headers
            ).is_success
        return False

    def tried(self, row: Row) -> RolloutState:
        """Release a row's challenger and follow its trial; its pods come up before its time begins."""
        new = "challenger" not in self.releases
        self.release("challenger", **(row.challenger or {}))
        if new and not row.expects.silent:
            self.comes_up("challenger")
        return self.trial("challenger", row.plan, row.during, row.at)

    def comes_up(self, role: str) -> None:
        workload = self.releases[role].config_name
        self.site.kubectl("rollout", "status", f"deployment/{workload}", f"--timeout={SLOW:.0f}s")

    def pair(self, champion: str, challenger: str) -> str:
        config = ServingConfig(
            f"{self.names.prefix}-{champion}-{challenger}", self.backend(champion), self.backend(challenger)
        )
        self.site.apply([self._config(config)])
        return config.name

    def assembled(self, by: str = "test") -> Assembled:
        return assembled(self.site.api, self.names.prefix, self.spec, by=by)

    def begin(self, role: str, plan: Plan, beside: str | None = None) -> RolloutState:
        pair = self.pair(beside, role) if beside else None

        def released() -> bool:
            with suppress(Busy, Unreachable, Conflict):
                self.assembled().controller.release(self.releases[role], pair, plan)
                return True
            return False

        wait_for(released, PATIENCE, f"the release of {role} begins")
        return self.state()

    def reached(self, phase: Phase) -> RolloutState:
        """Wait until the trial is in a phase and its weights are confirmed, or it is over."""

        def there() -> RolloutState | None:
            state = self.state()
            return state if (state.phase is phase and state.step_starts) or state.at_rest else None

        return wait_for(there, PATIENCE, f"{self.name} is {phase.value}")

    def trial(self, role: str, plan: Plan, during: Act = nothing, at: Phase = Phase.BAKING) -> RolloutState:
        state = self.state()
        if state.champion == self.releases[role]:
            return state
        self._began = time.time()
        trial = self.begin(role, plan, beside="champion").rollout_id
        if during is not nothing:
            self.reached(at)
            during(self)
        state = self._ended()
        assert state.verdict is not None
        assert state.verdict.rollout_id == trial, state.verdict
        return state

    def settled(self) -> RolloutState:
        """Wait until nothing moves any more, people are told, and the gateway has followed."""
        state = self._ended()
        wait_for(self._followed, PATIENCE, "the gateway follows")
        return state

    def _ended(self) -> RolloutState:
        def ended() -> RolloutState | None:
            state = self.state()
            return state if state.at_rest and not state.on_trial and not state.outbox else None

        return wait_for(ended, PATIENCE, f"the end of {self.name}, now {self.state().phase}")

    def state(self) -> RolloutState:
        """What the journal says, as soon as it can be asked."""

        def read() -> RolloutState | None:
            with suppress(Busy, Unreachable):
                return self.journal.read()
            return None

        return wait_for(read, SLOW, "the journal")

    def live(self) -> Live:
        """What the route, the gateway and the endpoints say, as soon as they are ready."""
        traffic = RouteTraffic(self.site.api, self.names.prefix)
        return wait_for(lambda: seen if (seen := traffic.read()).status == "ready" else None, PATIENCE, "it is ready")

    def _followed(self) -> bool:
        live, champion = RouteTraffic(self.site.api, self.names.prefix).read(), self.state().champion
        return live.status == "ready" and champion is not None and live.shares() == {champion.variant: 100.0}

    def packages(self) -> Mapping[str, str]:
        registry = ModelPackages(self.site.api)
        return {role: registry.approval(release.version) for role, release in self.releases.items()}

    def told(self, kind: str, rollout_id: str) -> list[Message]:
        reason = "".join(word.capitalize() for word in kind.split("_"))
        return [
            Message(item["message"], {"why": item["message"]})
            for item in self.events(ROLLOUT)
            if item["reason"] == reason and _epoch(item["lastTimestamp"]) >= int(self._began)
        ]

    def events(self, kind: str) -> list[dict[str, Any]]:
        wanted = {"kind": kind, "name": self.names.prefix}
        return [item for item in self.site.api.list(EVENT) if wanted.items() <= item["involvedObject"].items()]

    def pods_of(self, role: str) -> list[str]:
        found = self.site.api.list(POD, {"workload": self.releases[role].config_name})
        return [item["metadata"]["name"] for item in found]

    def load(self, *, target: str | None = None, rate: float = RATE, workers: int = 2) -> GatewayLoad:
        return GatewayLoad(self.site.url, Wanted(self.host, target or ""), self.name, rate, workers)

    def close(self) -> None:
        with suppress(RolloutError):
            for release in self.releases.values():
                words = ("delete", "deployment", release.config_name, "--wait=false", "--ignore-not-found")
                self.site.tried(*words)

    def backend(self, role: str) -> Backend:
        return Backend(f"v-{role}", f"{self.names.prefix}-{role}")

    def _config(self, config: ServingConfig) -> dict[str, Any]:
        return self._object("v1", "ConfigMap", config.name, immutable=True, data={CONTENT: config.to_json()})

    def _object(self, api_version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": name, "labels": self.names.labels}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}

    def _deployment(self, role: str, pods: Pods) -> dict[str, Any]:
        workload = f"{self.names.prefix}-{role}"
        variables = {"MODELSTACK_VARIANT": f"v-{role}", "BEHAVIOUR": json.dumps(pods.behaviour)}
        own = {
            "image": pods.image or self.site.image,
            "command": ["/usr/bin/python3", "-S", "/scripts/model.py"],
            "env": environment(variables),
        }
        pod = {
            "securityContext": dict(POD_SECURITY),
            "containers": [objects.container(own, reads=("scripts", "/scripts"), cpu="40m", memory=pods.memory)],
            "volumes": [{"name": "scripts", "configMap": {"name": SCRIPTS}}],
            **({"initContainers": [self._first()]} if pods.logs_in else {}),
            **pods.spec,
        }
        labels = {VARIANT: f"v-{role}", **self.names.labels}
        return objects.workload({"workload": workload}, pod, replicas=self.pods, deadline=pods.deadline, labels=labels)

    def _first(self) -> dict[str, Any]:
        """The container that fetches."""
        password = {"secretKeyRef": {"name": LOGIN, "key": "password"}}
        return {
            "name": "fetch",
            "image": self.site.image,
            "command": ["/usr/bin/python3", "-S", "-c", _FETCH],
            "env": [{"name": "PASSWORD", "valueFrom": password}],
            "securityContext": dict(CONTAINER_SECURITY),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }


def until_true(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds, whatever cannot be asked meanwhile."""

    def asked() -> bool:
        with suppress(Busy, Unreachable, NotFound):
            return holds()
        return False

    wait_for(asked, seconds, what)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
