"""The gateway, the route, and the journal of its rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from modelstack.platforms.kubernetes import attempts
from modelstack.platforms.kubernetes.names import API_VERSION, ROLLOUT, journal_copy
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.sticky import policy
from modelstack.program.config.kubernetes_settings import GatewaySettings
from modelstack.program.kubernetes.rights import own_rights
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts

_GATEWAY = "gateway.networking.k8s.io/v1"
_HTTP, _HTTPS = 80, 443


class Endpoint(pulumi.ComponentResource):
    """The gateway, the route, and the journal of its rollouts.

    Creates:
        A Gateway, unless the stack uses an existing one; an HTTPRoute without rules; a Rollout, and a ConfigMap for the
        copy of its journal; a Role for the controller to write these rules and that copy, and to read the stack's
        audit key and token; a
        BackendTrafficPolicy that retries a refused connection at another pod; for sticky keys an EnvoyPatchPolicy.

    The controller owns the route's rules, and the Rollout's status, which is the journal.
    """

    def __init__(
        self, name: str, site: Site, spec: RolloutSpec, *, listeners: Sequence[str] = (), opts: Opts = None
    ) -> None:
        super().__init__("modelstack:kubernetes:Endpoint", name, None, opts)
        child, names, gateway = pulumi.ResourceOptions(parent=self), site.names, site.settings.gateway
        if gateway.class_name is not None:
            site.declare("gateway", _gateway(names.prefix, gateway.class_name, gateway.tls_secret), child)
        site.declare("route", _route(names.prefix, gateway), child)
        site.declare("attempts", attempts.policy(names.prefix), child)
        if spec.sticky_header:
            taking = [_listener(gateway.tls_secret)["name"]] if gateway.class_name is not None else listeners
            sticky = policy(names.prefix, names.namespace, spec.gateway, taking, spec.sticky_header)
            site.declare("sticky", sticky, child)
        # The controllers write it; it outlives the Rollout, so that none of them makes it again while both are deleted.
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": journal_copy(names.prefix)}}
        copy = site.declare("journal", manifest, child)
        rollout = {"metadata": {"name": names.prefix}, "spec": spec.as_dict()}
        after = pulumi.ResourceOptions(parent=self, depends_on=copy)
        self.rollout = site.declare("rollout", {"apiVersion": API_VERSION, "kind": ROLLOUT, **rollout}, after)
        for manifest in own_rights(names):
            site.declare("key", manifest, child)
        self.register_outputs({"route": names.prefix})


def _gateway(name: str, class_name: str, certificate: str | None) -> dict[str, Any]:
    spec = {"gatewayClassName": class_name, "listeners": [_listener(certificate)]}
    return {"apiVersion": _GATEWAY, "kind": "Gateway", "metadata": {"name": name}, "spec": spec}


def _route(name: str, gateway: GatewaySettings) -> dict[str, Any]:
    hosts = {"hostnames": [gateway.host]} if gateway.host else {}
    spec = {"parentRefs": [{"name": gateway.name or name}], **hosts}
    return {"apiVersion": _GATEWAY, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}


def _listener(certificate: str | None) -> dict[str, Any]:
    if certificate is None:
        return {"name": "http", "port": _HTTP, "protocol": "HTTP"}
    tls = {"mode": "Terminate", "certificateRefs": [{"name": certificate}]}
    return {"name": "https", "port": _HTTPS, "protocol": "HTTPS", "tls": tls}
