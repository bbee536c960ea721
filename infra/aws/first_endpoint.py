"""What stands where the first endpoint of a stack is to be made?

Pulumi's provider for AWS keeps a new endpoint only once it is in service. One that failed, or whose update ended before
that, is in no state, and AWS refuses its name to the next update. So the program looks before it declares the first.

Source: `resourceEndpointCreate` of hashicorp/terraform-provider-aws (internal/service/sagemaker/endpoint.go) waits, and
then sets the id; a resource without an id is not kept (`Provider.Create` of pulumi/pulumi-terraform-bridge).
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from botocore.exceptions import ClientError

from platforms.aws.clients import Clients, calling, clients
from platforms.aws.endpoint import why_failed
from platforms.aws.names import Names
from platforms.s3.errors import code_of
from rollout.core.errors import RolloutError

MOST_SECONDS = 3600
"""As long as the provider itself waits for an endpoint."""
_MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


def standing_endpoint(names: Names) -> str | None:
    """Look whether an earlier update left an endpoint under the stack's name, and delete one that failed.

    A failed endpoint serves nothing, and AWS lets it only be deleted (`EndpointStatus` of DescribeEndpoint).

    Returns:
        The name of an endpoint that serves there; None when the name is free.

    Raises:
        pulumi.RunError: It is another's, does not come to rest, or AWS does not answer.
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
    """The endpoint when it no longer moves; None when it is gone."""
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
