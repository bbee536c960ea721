"""Who may reach our pods, as parts of a NetworkPolicy.

Source: Kubernetes documentation, "Network Policies". The kubelet's probes come from the pod's own node, which no policy
can forbid.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from modelstack.platforms.kubernetes.api_requests import service_path
from modelstack.platforms.kubernetes.names import WORKLOAD
from modelstack.program.config.kubernetes_settings import KubernetesSettings

MODELS: dict[str, Any] = {"matchExpressions": [{"key": WORKLOAD, "operator": "Exists"}]}
"""Selects the pods of all releases."""
PROXIES: dict[str, Any] = {
    "namespaceSelector": {},
    "podSelector": {
        "matchLabels": {"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"}
    },
}
"""The proxies of Envoy Gateway, which run in its own namespace or in the Gateway's."""


def ingress(port: int, settings: KubernetesSettings, *peers: dict[str, Any]) -> dict[str, Any]:
    """A rule that admits the peers, and Prometheus and Alertmanager; everybody if it is unknown where these run."""
    watching = settings.ingress_from
    if watching is None:
        host = urlsplit(settings.prometheus or "").hostname or ""
        if service_path(settings.prometheus or "") is None:
            return {"ports": [{"port": port}]}
        watching = [host.split(".")[1]]
    return {"ports": [{"port": port}], "from": [*peers, *map(_peer, watching)]}


def _peer(place: str) -> dict[str, Any]:
    if "/" in place:
        return {"ipBlock": {"cidr": place}}
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}}}
