"""Recovery of an endpoint that an interrupted update left behind.

Pulumi's AWS provider stores a new endpoint only once it is in service. One that failed, or whose update was
interrupted, is in no state, and AWS refuses to create its name again.

Source: `resourceEndpointCreate` of hashicorp/terraform-provider-aws (internal/service/sagemaker/endpoint.go) waits and
then sets the id; a resource without an id is dropped (`Provider.Create` of pulumi/pulumi-terraform-bridge).
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from botocore.exceptions import ClientError

from modelstack.platforms.aws.clients import Clients, calling, clients
from modelstack.platforms.aws.names import Names
from modelstack.platforms.aws.traffic import why_failed
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import RolloutError

MOST_SECONDS = 3600
"""The provider's own timeout."""
_MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


def standing_endpoint(names: Names) -> str | None:
    """The name of a serving endpoint that an earlier update left, or None.

    A failed one is deleted, since AWS allows nothing else. Raises pulumi.RunError if the endpoint belongs to another
    stack, does not come to rest, or AWS does not respond.
    """
    make = clients(names.region)
    try:
        with calling(f"look at endpoint {names.endpoint}"):
            return _standing(names, make)
    except RolloutError as error:
        raise pulumi.RunError(f"what stands at endpoint {names.endpoint} is not known: {error}") from None


def _standing(names: Names, make: Clients) -> str | None:
    found = _described(make, names.endpoint)
    if found is None:
        return None
    config = found.get("EndpointConfigName", "")
    if config and not config.startswith(f"{names.prefix}-"):
        raise pulumi.RunError(
            f"endpoint {names.endpoint} is there, with a config that is not this stack's, {config}. Nothing was "
            "changed: give the model another name (modelstack:model.name), or delete that endpoint"
        )
    if pulumi.runtime.is_dry_run():
        if found["EndpointStatus"] == "Failed":
            pulumi.warn(f"{_failed(names, found)}. The update deletes it and makes it anew")
            return None
        return names.endpoint
    if found["EndpointStatus"] in _MOVING:
        pulumi.info(
            f"endpoint {names.endpoint} is {found['EndpointStatus']} since an earlier update, which is waited for"
        )
    found = _at_rest(make, names.endpoint, found)
    if found is None:
        return None
    if found["EndpointStatus"] != "Failed":
        return names.endpoint
    pulumi.warn(f"{_failed(names, found)}. It is deleted and made anew")
    make("sagemaker").delete_endpoint(EndpointName=names.endpoint)
    _at_rest(make, names.endpoint, {"EndpointStatus": "Deleting"})
    return None


def _failed(names: Names, found: dict[str, Any]) -> str:
    why = why_failed(found.get("FailureReason", "")) or "no reason given"
    return f"endpoint {names.endpoint} failed when an earlier update made it, and serves nothing: {why.rstrip('.')}"


def _at_rest(make: Clients, endpoint: str, found: dict[str, Any] | None) -> dict[str, Any] | None:
    until = time.monotonic() + MOST_SECONDS
    while found is not None and found["EndpointStatus"] in _MOVING:
        if time.monotonic() > until:
            raise pulumi.RunError(f"endpoint {endpoint} is {found['EndpointStatus']} for longer than an hour")
        time.sleep(1)
        found = _described(make, endpoint)
    return found


def _described(make: Clients, endpoint: str) -> dict[str, Any] | None:
    try:
        return make("sagemaker").describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if code_of(error) == "ValidationException" and "Could not find endpoint" in str(error):
            return None
        raise
