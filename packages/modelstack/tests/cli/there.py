"""An endpoint on a cluster in memory: its objects, a release on trial, and what its Prometheus says."""

from __future__ import annotations

import time
from dataclasses import replace

from modelstack.cli.target import Target
from modelstack.platforms.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    GATEWAY,
    PACKAGE,
    ROLLOUT,
    ROUTE,
)
from modelstack.platforms.kubernetes.names import CONFIG, CONTENT, ENDPOINT, VARIANT
from modelstack.platforms.kubernetes.rules import rules, weights
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.workloads import SERVICE_NAME
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from tests.cli.clustered import CONTEXT, NAMESPACE, Cluster
from tests.cli.conftest import put_on_trial
from tests.rollout.worlds import fresh
from tests.rollout.worlds import release as short
from tests.simulator.platform import ManualClock

NAME = "flight-delay-prod"
RELEASES = {name: name * 12 for name in "ab"}
PAIR = ServingConfig("pair", *(Backend(f"v-{RELEASES[name]}", f"{NAME}-{RELEASES[name]}") for name in "ab"))
SHADOW = ServingConfig("shadow", PAIR.champion, PAIR.challenger, 20)


def release(name: str) -> Release:
    backend = PAIR.champion if name == "a" else PAIR.challenger
    return Release(
        RELEASES[name], name * 64, f"sha256:{name * 64}", "oci://r/m@sha256:1", "r/serving@sha256:2", "m",
        f"{NAMESPACE}/{NAME}-{name}", "model", backend.variant, backend.workload, "2 x 500m/512Mi",
    )  # fmt: skip


def serve(cluster: Cluster, config: ServingConfig, weights: dict[str, int]) -> None:
    cluster.put(CONFIG_MAP, {"metadata": {"name": config.name}, "data": {CONTENT: config.to_json()}})
    parent = {"name": "gate"}
    conditions = [{"type": name, "status": "True", "observedGeneration": 1} for name in ("Accepted", "ResolvedRefs")]
    cluster.put(
        ROUTE,
        {
            "metadata": {"name": NAME, "annotations": {CONFIG: config.name}},
            "spec": {"parentRefs": [parent], "rules": rules(config, weights)},
            "status": {"parents": [{"parentRef": parent, "conditions": conditions}]},
        },
    )
    for item in config.backends:
        labels = {ENDPOINT: NAME, VARIANT: item.variant}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": "r/serving@sha256:2"}]}}
        cluster.put(DEPLOYMENT, {"metadata": {"name": item.workload, "labels": labels}, "spec": {"template": template}})
        pod = {"conditions": {"ready": True}, "targetRef": {"uid": item.workload}}
        slice_labels = {SERVICE_NAME: item.workload}
        cluster.put(
            ENDPOINT_SLICE, {"metadata": {"name": f"{item.workload}-x", "labels": slice_labels}, "endpoints": [pod]}
        )


def endpoint(made: Cluster) -> None:
    url = f"http://127.0.0.1:{made.port}"
    spec = RolloutSpec("prod", "flight-delay", "gate", url, "model.example.org")
    made.put(ROLLOUT, {"metadata": {"name": NAME}, "spec": spec.as_dict()})
    listeners, addresses = [{"protocol": "HTTP", "port": made.port}], [{"value": "127.0.0.1"}]
    made.put(
        GATEWAY, {"metadata": {"name": "gate"}, "spec": {"listeners": listeners}, "status": {"addresses": addresses}}
    )
    package = {"digest": "sha256:9", "recipe": "a" * 64, "image": "r/serving@sha256:2", "metrics": {"auc": 0.70000001}}
    labels = {ENDPOINT: NAME}
    made.put(
        PACKAGE,
        {
            "metadata": {"name": f"{NAME}-a", "labels": labels},
            "spec": package,
            "status": {"approval": "Approved", "why": "first"},
        },
    )
    serve(made, ServingConfig("solo", PAIR.champion), {PAIR.champion.variant: 100})


def target(cluster: Cluster) -> Target:
    url = f"http://127.0.0.1:{cluster.port}"
    outputs = {
        "platform": "kubernetes", "endpoint_name": NAME, "context": CONTEXT, "namespace": NAMESPACE,
        "gateway": "gate", "host": "", "prometheus_url": url, "signing_key": "the public key",
    }  # fmt: skip
    return Target("prod", NAME, "", outputs)


RULE = {
    "name": f"{NAME}-v-a-5xx", "query": "x > 0.05", "state": "firing", "health": "ok",
    "labels": {"namespace": NAMESPACE, "endpoint": NAME, "severity": "page", "variant": "v-a", "measure": "5xx"},
    "annotations": {"summary": "It fails.", "runbook": "runbook.md#5xx", "threshold": "0.05", "missing": "None did."},
    "alerts": [
        {
            "state": "firing", "value": "4.8e-01", "activeAt": "2026-03-01T12:00:00.123456789Z",
            "labels": {"alertname": f"{NAME}-v-a-5xx", "variant": "v-a"}, "annotations": {"summary": "It fails."},
        }
    ],
}  # fmt: skip


def on_trial(cluster: Cluster, trial: Plan, seconds: float = 25) -> None:
    world = fresh(clock=ManualClock(time.time() - 125 - seconds))
    world.controller().release(short("a"), None, trial)
    world.clock.sleep(120)
    put_on_trial(world, trial, seconds)
    state, named = world.state, {}
    for name in ("champion", "challenger", "previous"):
        if one := getattr(state, name):
            named[name] = replace(one, version=f"{NAMESPACE}/package-{one.id}")
            named_so = {"name": f"package-{one.id}", "labels": {ENDPOINT: NAME}}
            cluster.put(PACKAGE, {"metadata": named_so, "spec": {"digest": one.package_digest}})
    state = replace(state, endpoint=NAME, **named)
    serve(cluster, ServingConfig("pair-ab", Backend("v-a", "solo-a"), Backend("v-b", "solo-b")), {"v-a": 90, "v-b": 10})
    serve_alone = ServingConfig("solo-a", Backend("v-a", "solo-a"))
    cluster.put(CONFIG_MAP, {"metadata": {"name": "solo-a"}, "data": {CONTENT: serve_alone.to_json()}})
    kept = cluster.objects[ROLLOUT.path(NAMESPACE, NAME)]
    kept["status"] = {"revision": state.revision, "phase": str(state.phase), "state": state.to_json()}


def weights_there(cluster: Cluster) -> dict[str, int]:
    return weights(cluster.objects[ROUTE.path(NAMESPACE, NAME)]["spec"]["rules"])
