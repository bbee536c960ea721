"""Access of other groups' stacks to this stack's champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from modelstack.platforms.kubernetes.names import GROUP
from modelstack.program.kubernetes.rights import RBAC
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts


class Promotion(pulumi.ComponentResource):
    """Access of other groups' stacks to this stack's champion.

    Creates:
        A Role that reads the journal and the versions of packages; a RoleBinding for the groups.
    """

    def __init__(self, name: str, site: Site, groups: Sequence[str], opts: Opts = None) -> None:
        super().__init__("modelstack:kubernetes:Promotion", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for manifest in manifests(site.names.prefix, groups):
            site.declare(f"promotion-{manifest['kind'].lower()}", manifest, child)
        self.register_outputs({"groups": list(groups)})


def manifests(prefix: str, groups: Sequence[str]) -> list[dict[str, Any]]:
    """The Role and its RoleBinding, for a stack whose names begin with `prefix`."""
    name = f"{prefix}-promotion"
    read = ["get"]
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": [GROUP], "resources": ["rollouts"], "resourceNames": [prefix], "verbs": read},
                {"apiGroups": [GROUP], "resources": ["modelpackages"], "verbs": read},
            ],
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups],
        },
    ]
