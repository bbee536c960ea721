"""What goes wrong in a cluster: each function is a fault of a row of `of_clusters.py`."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from modelstack.platforms.kubernetes.kinds import ROUTE
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.program.kubernetes.rights import own_rights
from modelstack.rollout.core.errors import RolloutError
from tests.conformance.cluster_site import GATEWAY, PROMETHEUS, SLOW, cluster
from tests.conformance.cluster_stage import LOGIN, LONG, RIGHT, SiteStage, until_true
from tests.conformance.stage import beside
from tests.listening import Quiet, listening

NODE, MACHINE = "node1", "10.99.0.254"
PROXIES = "envoy-gateway-system"
_DOWN = 12.0  # seconds for which a part of the control plane is away
_NOW = ("--grace-period=0", "--force")


def again_and_again(work: Callable[[], Any], pause: float) -> AbstractContextManager[None]:
    def run(stop: threading.Event) -> None:
        while not stop.wait(pause):
            with suppress(RolloutError, AssertionError):
                work()

    return beside(run)


@contextmanager
def restarted(_: SiteStage) -> Generator[None]:
    """Whatever of the cluster was killed in the block is started again at its end."""
    try:
        yield
    finally:
        cluster("up")


def down(*names: str) -> Callable[[SiteStage], None]:
    """Programs of the cluster are killed, and come back after some seconds."""

    def act(_: SiteStage) -> None:
        cluster("kill", *names)
        time.sleep(_DOWN)
        cluster("up")

    return act


def gone(*names: str) -> Callable[[SiteStage], None]:
    """Programs of the cluster are killed, and stay away until the end."""
    return lambda _: cluster("kill", *names)


def drained(stage: SiteStage) -> None:
    """The node is drained of the endpoint's pods and the controllers, and takes pods again some seconds later."""
    own = {role: set(stage.pods_of(role)) for role in stage.releases}
    for selector in (f"app.kubernetes.io/instance={stage.names.prefix}", f"app.kubernetes.io/name={CONTROLLER}"):
        words = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={selector}", "--timeout=8s")
        stage.site.tried("drain", NODE, *words)
    left = {role: set(stage.pods_of(role)) for role in stage.releases}
    stage.site.kubectl("uncordon", NODE)
    assert all(left[role] != own[role] for role in own), f"nothing was evicted: {own}, {left}"


def kill_leader(stage: SiteStage) -> None:
    """The controller that leads is killed, and then the one that took over."""
    for _ in range(2):
        stage.site.kubectl("delete", "pod", stage.site.leader(), *_NOW)


def kill_gateway(stage: SiteStage) -> None:
    stage.site.kubectl("delete", "pod", "-n", PROXIES, "-l", "control-plane=envoy-gateway", *_NOW)


def kill_envoy(stage: SiteStage) -> None:
    ours = f"gateway.envoyproxy.io/owning-gateway-namespace={stage.site.namespace}"
    stage.site.kubectl("delete", "pod", "-n", PROXIES, "-l", ours, *_NOW)


def delete_challenger(stage: SiteStage) -> None:
    """All pods of the challenger go at once."""
    stage.site.kubectl("delete", "pod", *stage.pods_of("challenger"), "--wait=false", *_NOW)


def stop_challenger(stage: SiteStage) -> None:
    """The processes of one pod of the challenger are stopped."""
    pod = f"HOSTNAME={stage.pods_of('challenger')[0]}".encode()
    found = [one for one in Path("/proc").glob("[0-9]*") if pod in _environment(one).split(b"\0")]
    assert found, f"no process has {pod!r}"
    for process in found:
        os.kill(int(process.name), signal.SIGSTOP)


def scale_challenger_to_zero(stage: SiteStage) -> None:
    stage.site.kubectl("scale", f"deployment/{stage.releases['challenger'].config_name}", "--replicas=0")


def without_rights(stage: SiteStage) -> None:
    """The controllers' rights on the endpoint's route are deleted, and come back some seconds later."""
    role, binding = own_rights(stage.names)
    stage.site.kubectl("delete", "rolebinding", binding["metadata"]["name"])
    time.sleep(_DOWN)
    stage.site.apply([role, binding])


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def wrong_login(pods: Mapping[str, Any]) -> Callable[[SiteStage], None]:
    """A release is tried with a wrong password, and then the right one is put in its place."""

    def act(stage: SiteStage) -> None:
        _password(stage, "wrong")
        stage.release("challenger", **pods)
        verdict = stage.trial("challenger", LONG).verdict
        assert verdict is not None
        assert verdict.outcome == "failed", verdict
        assert "pull_secret" in verdict.reason.text, verdict
        _password(stage, RIGHT)

    return act


def _password(stage: SiteStage, password: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOGIN}, "stringData": {"password": password}}
    stage.site.apply([secret])


def patch(stage: SiteStage) -> None:
    """A person gives the challenger everything."""
    route = stage.site.api.get(ROUTE, stage.names.prefix)
    last = len(route["spec"]["rules"]) - 1
    changes = [
        {"op": "replace", "path": f"/spec/rules/{last}/backendRefs/{at}/weight", "value": value}
        for at, value in enumerate((0, 100))
    ]
    words = ("--type=json", f"--patch={json.dumps(changes)}", "--field-manager=ada")
    stage.site.kubectl("patch", "httproute", stage.names.prefix, *words)


def applied_by_a_tool(stage: SiteStage, every: float = 4.0) -> Any:
    """A tool applies the route as its repository has it: everything to the champion."""
    config = ServingConfig("x", stage.backend("champion"))
    spec = {
        "parentRefs": [{"name": GATEWAY}],
        "hostnames": [stage.host],
        "rules": rules(config, {"v-champion": 100})[-1:],
    }
    manifest = {
        "apiVersion": ROUTE.api_version,
        "kind": ROUTE.kind,
        "metadata": {"name": stage.names.prefix},
        "spec": spec,
    }
    return again_and_again(lambda: stage.site.apply([manifest], "argocd-controller"), every)


def quota(stage: SiteStage) -> None:
    """The namespace allows no pod of the challenger's class."""
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": [stage.name]}
    stage.site.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": stage.name},
                "spec": {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [scope]}},
            },
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": stage.name},
                "value": 1,
            },
        ]
    )
    api = ("get", "resourcequota", stage.name, "-o", "jsonpath={.status.hard.pods}")
    until_true(lambda: stage.site.kubectl(*api) == "0", SLOW, "the quota counts")


@contextmanager
def three_controllers(stage: SiteStage) -> Generator[None]:
    each = [stage.assembled(f"other-{at}").controller for at in range(3)]
    with again_and_again(each[0].tick, 0.1), again_and_again(each[1].tick, 0.1), again_and_again(each[2].tick, 0.1):
        yield


@contextmanager
def behind(seconds: float) -> Generator[str]:
    """A Prometheus that knows nothing younger than so many seconds; its URL, seen from the cluster."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = dict(urllib.parse.parse_qsl(query))
            for name in asked.keys() & {"time", "start", "end"}:
                asked[name] = str(float(asked[name]) - seconds)
            if path.endswith("/query") and "time" not in asked:
                asked["time"] = str(time.time() - seconds)
            request = f"{PROMETHEUS}{path}?{urllib.parse.urlencode(asked)}"
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with listening(Handler, host=MACHINE) as url:
        yield url
