"""Sticky routing: the gateway sends requests with the same value of a header to the same variant.

By default Envoy draws a number for each request, and the weights map it to a variant. With `use_hash_policy` the number
is the hash of the header. The champion comes first in the rules, so a challenger whose weight grows keeps its keys, and
the same weight always has the same keys. A request without the header gets a random number.

Envoy Gateway writes `use_hash_policy` for a BackendTrafficPolicy with ConsistentHash, but gives such a rule its own
clusters (1.9.1): a variant loses its metrics, and weight 0 loses requests. A patch of the route avoids that.

Source: Envoy API v3, `config.route.v3.WeightedCluster.use_hash_policy`; Envoy Gateway 1.9, EnvoyPatchPolicy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelstack.platforms.kubernetes.kinds import GATEWAY, PATCH_POLICY

_CONFIGURATION = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_STRUCT = "envoy-gateway"
"""Metadata that the gateway writes on each route, without a reader.

A patch that matches nothing is an error, and a route of one backend has no weighted clusters. So the field is added to
the metadata too, and the policy is accepted before a trial begins."""


def policy(name: str, namespace: str, gateway: str, listeners: Iterable[str], header: str) -> dict[str, Any]:
    """The EnvoyPatchPolicy for a header. `listeners` are those of the Gateway that accept the route's requests."""
    route = f"$.virtual_hosts[*].routes[?(@.name =~ /^httproute\\/{namespace}\\/{name}\\/rule\\//)]"
    hashed = {"jsonPath": f"{route}.route", "path": "/hash_policy", "value": [{"header": {"header_name": header}}]}
    used = {"jsonPath": f"{route}..['weighted_clusters','{_STRUCT}']", "path": "/use_hash_policy", "value": True}
    return {
        "apiVersion": PATCH_POLICY.api_version,
        "kind": PATCH_POLICY.kind,
        "metadata": {"name": name},
        "spec": {
            "type": "JSONPatch",
            "targetRef": {"group": GATEWAY.api_version.partition("/")[0], "kind": GATEWAY.kind, "name": gateway},
            "jsonPatches": [
                {
                    "type": _CONFIGURATION,
                    "name": f"{namespace}/{gateway}/{listener}",
                    "operation": {"op": "add", **operation},
                }
                for listener in listeners
                for operation in (hashed, used)
            ],
        },
    }


def unsettled(found: Mapping[str, Any] | None, header: str) -> str:
    """Why the header does not select the variant yet; empty if it does. `found` is the policy."""
    if found is None:
        return "there is no EnvoyPatchPolicy of the endpoint's name"
    if header not in _headers(found):
        return f"EnvoyPatchPolicy {found['metadata']['name']} goes by {', '.join(_headers(found)) or 'no header'}"
    return refused(found) or _waits(found)


def refused(found: Mapping[str, Any]) -> str:
    """Why the gateway rejects a policy; empty if it accepts it, or has not processed it yet."""
    wrong = [item for item in _said(found) if item["type"] in {"Accepted", "Programmed"} and item["status"] != "True"]
    return f"the gateway does not take it, {wrong[0]['reason']}: {wrong[0].get('message', '')}" if wrong else ""


def _waits(found: Mapping[str, Any]) -> str:
    generation = found["metadata"].get("generation", 0)
    done = [item for item in _said(found) if item["type"] == "Programmed" and item["status"] == "True"]
    told = any(int(item.get("observedGeneration") or 0) >= generation for item in done)
    return "" if told else "the gateway has not taken it yet"


def _said(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    ancestors = (found.get("status") or {}).get("ancestors") or ()
    return [item for ancestor in ancestors for item in ancestor.get("conditions") or ()]


def _headers(found: Mapping[str, Any]) -> list[str]:
    values = [item["operation"].get("value") for item in found["spec"].get("jsonPatches") or ()]
    return sorted({one["header"]["header_name"] for value in values if isinstance(value, list) for one in value})
