"""The custom resource definitions of the cluster."""

from __future__ import annotations

import pulumi

from modelstack.platforms.kubernetes.crds import definitions
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts


class Definitions(pulumi.ComponentResource):
    """The custom resource definitions of the cluster.

    Creates:
        Rollout and ModelPackage of the group `modelstack.dev`. They stay when the stack is destroyed, because deleting
        a definition deletes all its objects in the cluster.
    """

    def __init__(self, name: str, site: Site, opts: Opts = None) -> None:
        super().__init__("modelstack:kubernetes:Definitions", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        for definition in definitions():
            own = {**definition, "metadata": {**definition["metadata"], "namespace": None}}
            own["metadata"]["annotations"] = {"pulumi.com/skipAwait": "false"}
            site.declare(definition["metadata"]["name"], own, kept, shared=True)
        self.register_outputs({})
