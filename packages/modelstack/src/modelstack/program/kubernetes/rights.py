"""Permissions of the rollout controller on single objects of a stack.

The Role of `modelstack.program.kubernetes.controller` reads a whole namespace. These Roles name what the controller
writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.names import CONTROLLER, Names, journal_copy
from modelstack.platforms.kubernetes.signing import audit_secret_name

RBAC = "rbac.authorization.k8s.io"


def rule(group: str, resource: str, verbs: Sequence[str], *names: str) -> dict[str, Any]:
    """A rule on one resource; without names it is about all objects of the namespace."""
    named = {"resourceNames": [*names]} if names else {}
    return {"apiGroups": [group], "resources": [resource], **named, "verbs": [*verbs]}


def granted(name: str, namespace: str, rules: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Role, and the RoleBinding that gives it to the controller of the namespace."""
    metadata = {"metadata": {"name": name}}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", **metadata, "rules": [*rules]}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        **metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": CONTROLLER, "namespace": namespace}],
    }
    return role, binding


def own_rights(names: Names) -> tuple[dict[str, Any], dict[str, Any]]:
    """To sign the stack's audit records, to check its token, and to write its route and the copy of its journal."""
    secrets = audit_secret_name(names.prefix), access_token.secret_name(names.prefix)
    rules = [
        rule("", "secrets", ["get"], *secrets),
        rule("", "configmaps", ["create", "patch"], journal_copy(names.prefix)),  # a deleted one is made again
        rule("gateway.networking.k8s.io", "httproutes", ["patch"], names.prefix),
    ]
    return granted(f"{names.prefix}-key", names.namespace, rules)


def workload_rights(namespace: str, workload: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """To scale the pods of one release. They exist as long as its Deployment."""
    rules = [
        rule("apps", "deployments/scale", ["patch"], workload),
        rule("autoscaling", "horizontalpodautoscalers", ["patch"], workload),
    ]
    return granted(workload, namespace, rules)
