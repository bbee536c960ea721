"""The stack's dashboard, for a Grafana with a sidecar that loads ConfigMaps."""

from __future__ import annotations

import json

import pulumi

from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes import grafana
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts


class Dashboard(pulumi.ComponentResource):
    """The stack's dashboard.

    Creates:
        A ConfigMap with the label `grafana_dashboard`.
    """

    def __init__(self, name: str, site: Site, settings: Settings, objective: Objective, opts: Opts = None) -> None:
        super().__init__("modelstack:kubernetes:Dashboard", name, None, opts)
        prefix = site.names.prefix
        content = grafana.dashboard(prefix, site.names.namespace, settings.panels(objective))
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{prefix}-dashboard"},
            "data": {f"{site.names.file}.json": json.dumps(content, sort_keys=True, ensure_ascii=False)},
        }
        site.declare("dashboard", manifest, pulumi.ResourceOptions(parent=self), labels=grafana.LABEL)
        self.register_outputs({"dashboard": f"{prefix}-dashboard"})
