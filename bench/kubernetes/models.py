"""Many models in one namespace, each as a stack declares it, with pods on nodes that are not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.kubernetes.fake_nodes import SCHEDULING
from bench.kubernetes.objects import Object, gateway_of, route_of, service_of
from bench.kubernetes.place import Place, at_once, until
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.assembled import assembled
from modelstack.platforms.kubernetes.journal import KubernetesJournal, copied_journal
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, GATEWAY, PACKAGE, ROLLOUT, ROUTE, SERVICE
from modelstack.platforms.kubernetes.metrics import cluster
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.rule import Watched, rule_file
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.signing import audit_secret_name, key_pair
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.program.kubernetes.rules import EVERY
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.declaration.alarm_thresholds import evidence

_GATEWAY, _RIGHTS = "fleet", "fleet-rights"
_PERIOD_S = 10  # between two looks at a trial
_IMAGE = "bench/serving@sha256:" + "0" * 64
_PODS = 2
_LOOKS = 1000  # of a rule at a trial: about an hour and a half


@dataclass(frozen=True)
class Model:
    """A model of many.

    Attributes:
        place: Where.
        number: Which.
    """

    place: Place
    number: int

    @property
    def name(self) -> str:
        """Of its Rollout and its route."""
        return f"fleet-{self.number:03d}"

    @property
    def is_tried(self) -> bool:
        """Whether its trial is judged by now."""
        return KubernetesJournal(self.place.api, self.name).read().step_started_at is not None

    def declare(self) -> None:
        """A model that serves one release, and rests."""
        api = self.place.api
        served = self._release("a")
        config = self._workload(served)
        spec = RolloutSpec("bench", self.name, _GATEWAY, self.place.section["prometheus"], period_seconds=_PERIOD_S)
        key_pair(api, audit_secret_name(self.name))
        api.apply(ROUTE, self.route(f"{self.name}.example"), names.PROGRAM)
        decided = {"metadata": {"name": self.name, "annotations": {names.CONFIG: config.name}}}
        api.apply(ROUTE, {**decided, "spec": {"rules": rules(config, {served.variant: 100})}}, names.MANAGER)
        api.apply(ROLLOUT, {"metadata": {"name": self.name}, "spec": spec.as_dict()}, names.PROGRAM)
        rests = RolloutState(
            self.name, phase=Phase.IDLE, champion=served, rollout_id="1-a", weights={served.variant: 100}
        )
        copied_journal(api, self.name).write(rests)

    def route(self, host: str) -> Object:
        """What Pulumi declares of its route."""
        return route_of(self.name, _GATEWAY, host)

    def try_another(self, plan: Plan) -> None:
        """Put a second release on trial, as an update does."""
        api, before = self.place.api, self._release("a")
        release = self._release("b")
        config = self._workload(release)
        pair = ServingConfig(f"{self.name}-pair", _backend(before), config.champion)
        self._config(pair)
        self._watch(before, release)
        spec = RolloutSpec("bench", self.name, _GATEWAY, self.place.section["prometheus"], period_seconds=_PERIOD_S)
        rollout = assembled(api, self.name, spec, by="bench").controller
        rollout.release(release, pair.name, plan, beside=before.config_name)

    def _watch(self, *releases: Release) -> None:
        """The alarms: no trial takes a step while nobody can say whether they fire."""
        clusters = {one.variant: (cluster(self.place.api.namespace, one.config_name),) for one in releases}
        watched = Watched(
            self.place.api.namespace, self.name, clusters, every_seconds=EVERY, period_seconds=_PERIOD_S,
            max_5xx_rate=0.05, max_p99_ms=5000, nats=evidence(_LOOKS, 0.05),
        )  # fmt: skip
        data = {"alarms.yml": json.dumps(rule_file([group(watched)]))}
        found = {"metadata": {"name": f"{self.name}-rules", "labels": self.place.section["rules"]["labels"]}}
        self.place.api.create(CONFIG_MAP, {**found, "data": data})

    def _release(self, letter: str) -> Release:
        name = f"{self.name}-{letter}"
        return Release(
            id=name,
            recipe=f"recipe-{name}",
            package_digest="sha256:" + "0" * 64,
            archive_uri="oci://bench/packages@sha256:" + "0" * 64,
            image_uri=_IMAGE,
            manifest_sha256="0" * 64,
            version=f"{self.place.api.namespace}/{name}",
            model_name=name,
            variant=f"v-{letter}",
            config_name=name,
            instances="2 x 100m/384Mi",
        )

    def _workload(self, release: Release) -> ServingConfig:
        """The package, the pods, and the config that serves them alone."""
        api, name = self.place.api, release.config_name
        content = {"digest": release.package_digest, "archive": release.archive_uri}
        api.create(PACKAGE, {"metadata": {"name": release.model_name}, "spec": content})
        api.create(DEPLOYMENT, _deployment(name))
        api.create(SERVICE, service_of(name))
        config = ServingConfig(name, _backend(release))
        self._config(config)
        return config

    def _config(self, config: ServingConfig) -> None:
        data = {names.CONTENT: config.to_json()}
        self.place.api.create(CONFIG_MAP, {"metadata": {"name": config.name}, "data": data, "immutable": True})


@contextmanager
def declared(place: Place) -> Iterator[Callable[[Iterable[int]], None]]:
    """Yields what makes models of these numbers, and waits until the pods of all are ready; all go at the end."""
    api, made = place.api, list[int]()
    api.create(GATEWAY, gateway_of(_GATEWAY, place.section["gateway"]["class"]))
    account = f"{api.namespace}:{CONTROLLER}"
    # What a stack gives the controller of its own objects.
    resources = "secrets,httproutes.gateway.networking.k8s.io,deployments.apps/scale"
    place.kubectl("create", "role", _RIGHTS, "--verb=get,patch", f"--resource={resources}")
    place.kubectl("create", "rolebinding", _RIGHTS, f"--role={_RIGHTS}", f"--serviceaccount={account}")

    def add(numbers: Iterable[int]) -> None:
        wanted = list(numbers)
        made.extend(wanted)
        at_once(lambda number: Model(place, number).declare(), wanted)
        until(
            lambda: all(RouteTraffic(api, Model(place, one).name).read().status == "ready" for one in wanted), "ready"
        )

    try:
        yield add
    finally:
        for kind in (ROLLOUT, ROUTE):
            for number in made:
                api.delete(kind, Model(place, number).name)
        for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, PACKAGE):
            for found in api.list(kind):
                if found["metadata"]["name"].startswith("fleet-"):
                    api.delete(kind, found["metadata"]["name"])
        api.delete(GATEWAY, _GATEWAY)


def _backend(release: Release) -> Backend:
    return Backend(release.variant, release.config_name)


def _deployment(name: str) -> Object:
    labels = {"workload": name}
    container = {
        "name": "model",
        "image": _IMAGE,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        **SCHEDULING,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": _PODS, "selector": {"matchLabels": labels}, "template": template},
    }
