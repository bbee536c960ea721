"""Controllers on the local cloud that die after an effect; see `mortal`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.endpoint import controller_with
from modelstack.rollout.controller.controller import Controller
from tests.conformance.mortal import Die, of_state

CHANGES = frozenset(
    {"PutItem", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "UpdateModelPackage", "Publish"}
)
SERVICES = ("cloudwatch", "dynamodb", "sagemaker", "sns")


def controllers(where: Any, die: Die) -> Callable[[], Controller]:
    """What makes a controller; its clients are made before any process is forked."""
    make = _mortal(where["region"], die)
    for service in SERVICES:
        make(service)
    return lambda: controller_with(make, where["endpoint"], where["table"], by="test", topic=where["topic"])


def _mortal(region: str, die: Die) -> Any:
    make = clients(region)
    asked: dict[str, str] = {}

    def before(model: Any, params: dict[str, Any], **_: Any) -> None:
        asked[model.name] = kind(model.name, params["body"])

    def after(model: Any, **_: Any) -> None:
        if model.name in CHANGES:
            die(f"{model.name} {asked[model.name]}")

    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = make(service)
            made[service].meta.events.register("before-call.*.*", before)
            made[service].meta.events.register("after-call.*.*", after)
        return made[service]

    return client


def kind(operation: str, body: Any) -> str:
    if operation == "Publish":
        return "any"  # all events of an outbox are sent in one go
    if operation != "PutItem":
        return hashlib.sha256(str(body).encode()).hexdigest()
    return of_state(json.loads(json.loads(body)["Item"]["state"]["S"]))
