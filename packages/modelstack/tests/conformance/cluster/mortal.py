"""Controllers on a cluster that die after an effect; see `tests.conformance.mortal`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from modelstack.platforms.kubernetes.access import Access
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.assembled import assembled
from modelstack.platforms.kubernetes.notify import KubernetesNotify, Webhook
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.notice import Notice
from tests.conformance.mortal import Die, of_state

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def controllers(where: Mapping[str, Any], die: Die) -> Callable[[], Controller]:
    """What makes a controller, which has connections of its own."""
    spec, endpoint = RolloutSpec.from_dict(where["spec"]), where["endpoint"]

    def after(answer: httpx.Response) -> None:
        if answer.is_success and answer.request.method in _CHANGES:
            die(kind(answer.request))

    def made() -> Controller:
        api = Api(Access(where["kubernetes"], False, where["namespace"], "a proxy"), where["namespace"])
        api._client.event_hooks["response"].append(after)
        prometheus = Prometheus(httpx.Client(base_url=where["prometheus"], timeout=10))

        class Mortal(Webhook):
            def send(self, told: Notice) -> None:
                super().send(told)
                die("webhook")

        notify = KubernetesNotify(api, endpoint, Mortal(where["webhook"]))
        return assembled(api, endpoint, spec, by="test", notify=notify, prometheus=prometheus).controller

    return made


def kind(request: httpx.Request) -> str:
    """What tells one step from another; an event is told of in two ways, whatever it says."""
    path, body = request.url.path, json.loads(request.content)
    what = path.split("/namespaces/")[-1].split("/")[1]
    if what == "events":
        return "event"
    if what == "rollouts":
        return f"journal {of_state(json.loads(body['status']['state']))}"
    if what == "modelpackages":
        return f"approval {path} {body['status']['approval']}"
    # Of a config that is asked for, the time is noted, too.
    told = [body["metadata"].get("annotations", {}).get("modelstack.dev/config"), body.get("spec")]
    return f"{what} {hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"
