"""Connects to a cluster, and finds an endpoint there without Pulumi's backend."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.target import Target
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import NAMESPACE, ROLLOUT
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError


def connect(context: str, namespace: str) -> Api:
    """The API server of a kubeconfig context, empty for the current one; OperatorError if it cannot be used."""
    with explained("reading the kubeconfig"):
        return Api.of(context or None, namespace)


def named(word: str, context: str) -> Target:
    """The endpoint `NAMESPACE/NAME` in a kubeconfig context, from its Rollout; OperatorError if it cannot be read."""
    namespace, _, name = word.partition("/")
    if not namespace or not name or "/" in name:
        hint = "On a cluster it is NAMESPACE/NAME, such as models/flight-delay-prod."
        raise OperatorError(f"--endpoint is {word!r}", hint, 2)
    api = connect(context, namespace)
    with explained(f"reading Rollout {word}"):
        spec = RolloutSpec.from_dict(_rollout(api, name)["spec"])
    outputs = {
        "platform": "kubernetes",
        "endpoint_name": name,
        "context": context,
        "namespace": namespace,
        "gateway": spec.gateway,
        "host": spec.host,
        "ca_config_map": spec.ca_config_map,
        "prometheus_url": spec.prometheus,
    }
    return Target(stack="", endpoint=name, region="", outputs=outputs)


def _rollout(api: Api, name: str) -> Mapping[str, Any]:
    try:
        return api.get(ROLLOUT, name)
    except NotFound as error:
        there = [item["metadata"]["name"] for item in api.list(ROLLOUT)]  # NotFound where the kind itself is missing
        if not there and _has_no(api, api.namespace):
            raise NotFound(f"there is no namespace {api.namespace}") from error
        named = ", ".join(there) or "none"
        raise NotFound(f"namespace {api.namespace} has no Rollout {name}; there are: {named}") from error


def _has_no(api: Api, namespace: str) -> bool:
    """Whether there is certainly no such namespace; without permission to look, it is not certain."""
    with suppress(RolloutError):
        return api.find(NAMESPACE, namespace) is None
    return False
