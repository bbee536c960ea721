"""Rules on the objects of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelstack.policy import tokens
from modelstack.policy.principals import are_narrow
from modelstack.policy.rule import Declared, ResourceRule, Values, items_at, value_at

_EVERYBODY = frozenset({"system:anonymous", "system:authenticated", "system:serviceaccounts", "system:unauthenticated"})
_READING = frozenset({"get", "list", "watch"})
_RAISING = frozenset({"bind", "escalate", "impersonate"})
_ENTERING = frozenset({"pods/attach", "pods/ephemeralcontainers", "pods/exec", "pods/portforward"})
_STARTING = frozenset(
    {"cronjobs", "daemonsets", "deployments", "jobs", "pods", "replicasets", "replicationcontrollers", "statefulsets"}
)
"""Who writes these runs containers with any Secret and any ServiceAccount of the namespace."""
_VOLUMES = frozenset(
    {"configMap", "downwardAPI", "emptyDir", "ephemeral", "name", "persistentVolumeClaim", "projected", "secret"}
)


def rights(rule: Values) -> Iterator[str]:
    """How a rule of a Role allows more than it names.

    Source: Kubernetes documentation, "Role Based Access Control Good Practices".
    """
    groups, resources, verbs = ({*items_at(rule, name)} for name in ("apiGroups", "resources", "verbs"))
    said = f"{', '.join(sorted(map(str, verbs)))} on {', '.join(sorted(map(str, resources)))}"
    if any("*" in str(each) for each in groups | resources | verbs):
        yield f"{said} has a wildcard"
    if rule.get("nonResourceURLs"):
        yield "nonResourceURLs are of the whole cluster"
    writes = verbs - _READING
    if verbs & _RAISING or (writes and any("rbac." in str(group) for group in groups)):
        yield f"{said} gives rights to itself"
    if "secrets" in resources and not rule.get("resourceNames"):
        yield f"{said} names no Secret in resourceNames"
    if resources & _ENTERING or "serviceaccounts/token" in resources or (writes - {"delete"} and resources & _STARTING):
        yield f"{said} acts as any pod of the namespace"


def _rights(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.CLUSTER_ROLE:
        for rule in items_at(resource.values, "rules"):
            yield from rights(rule)
        return
    if resource.get("roleRef", "kind") != "Role":
        yield f"it binds {resource.get('roleRef', 'kind')} {resource.get('roleRef', 'name')}, and no Role of the stack"
    for subject in items_at(resource.values, "subjects"):
        if value_at(subject, "name") in _EVERYBODY:
            yield f"it is for {value_at(subject, 'name')}"


def _closed(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.CLUSTER_SERVICE:
        if (kind := resource.get("spec", "type") or "ClusterIP") != "ClusterIP":
            yield f"its type is {kind}"
        if resource.get("spec", "externalIPs"):
            yield "it has externalIPs"
        return
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for rule in items_at(resource.values, "spec", way):
            ports = items_at(rule, "ports")
            if not ports or any(value_at(port, "port") is None or value_at(port, "endPort") for port in ports):
                yield f"{way} is allowed on ports that it does not name"
            blocks = [value_at(peer, "ipBlock", "cidr") for peer in items_at(rule, peers)]
            if any(blocks) and not are_narrow(filter(None, blocks)):
                yield f"{way} is allowed for {', '.join(filter(None, blocks))}"


def _restricted(deployment: Declared) -> Iterator[str]:
    pod = deployment.get("spec", "template", "spec")
    for name in ("hostIPC", "hostNetwork", "hostPID"):
        if value_at(pod, name):
            yield f"{name} is true"
    for volume in items_at(pod, "volumes"):
        for kind in sorted(volume.keys() - _VOLUMES):
            yield f"volume {volume.get('name')} is a {kind}"
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in items_at(pod, kind):
            yield from (f"container {container.get('name')}: {text}" for text in _loose(pod, container))


def _loose(pod: Any, container: Mapping[str, Any]) -> Iterator[str]:
    own = value_at(container, "securityContext")
    if value_at(own, "privileged"):
        yield "it is privileged"
    if value_at(own, "allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if "ALL" not in items_at(own, "capabilities", "drop") or items_at(own, "capabilities", "add"):
        yield "its capabilities are not dropped"
    for name in ("runAsNonRoot", "seccompProfile"):
        whole = value_at(pod, "securityContext", name)
        said = value_at(own, name)
        value = whole if said is None else said
        if value is not True and value_at(value, "type") not in ("Localhost", "RuntimeDefault"):
            yield f"{name} is {value}"
    if any(value_at(port, "hostPort") for port in items_at(container, "ports")):
        yield "it takes a port of the node"


RULES = (
    ResourceRule(
        name="cluster-rights",
        requires="Roles of a cluster name each group, resource and verb, read named Secrets, give no rights and start "
        "no pods. They are bound to named subjects, and no ClusterRole is.",
        control="AWS Well-Architected SEC03-BP02",
        fix="Name them, in a Role of the stack.",
        types=frozenset({tokens.CLUSTER_ROLE, tokens.CLUSTER_BINDING}),
        check=_rights,
    ),
    ResourceRule(
        name="cluster-closed",
        requires="Services are reached in the cluster alone, through a Gateway from outside, and network policies name "
        "ports and narrow ranges of addresses.",
        control="AWS Well-Architected SEC05-BP02",
        fix="Use ClusterIP and a Gateway, and name each port.",
        types=frozenset({tokens.CLUSTER_SERVICE, tokens.NETWORK_POLICY}),
        check=_closed,
    ),
    ResourceRule(
        name="pods-restricted",
        requires="Pods keep to the level Restricted of the Pod Security Standards.",
        control="AWS Well-Architected SEC06-BP02",
        fix="Set the securityContext of pod and container, and take volumes of the cluster only.",
        types=frozenset({tokens.DEPLOYMENT}),
        check=_restricted,
    ),
)
