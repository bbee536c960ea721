"""Objects as the Pulumi program declares them, for scenarios with more of them than are worth an update. Pure."""

from __future__ import annotations

from typing import Any

from modelstack.platforms.kubernetes.names import PORT

Object = dict[str, Any]
GATEWAY_PORT = 8080


def gateway_of(name: str, class_name: str) -> Object:
    """A Gateway for plain HTTP."""
    listener = {"name": "http", "port": GATEWAY_PORT, "protocol": "HTTP"}
    return {"metadata": {"name": name}, "spec": {"gatewayClassName": class_name, "listeners": [listener]}}


def route_of(name: str, gateway: str, host: str) -> Object:
    """A route without rules, which are the controller's."""
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}
    return {"metadata": {"name": name}, "spec": {"parentRefs": [parent], "hostnames": [host]}}


def service_of(workload: str) -> Object:
    """A workload's Service."""
    return {"metadata": {"name": workload}, "spec": {"selector": {"workload": workload}, "ports": [{"port": PORT}]}}
