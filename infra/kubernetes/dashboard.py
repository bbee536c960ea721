"""The stack's dashboard, for a Grafana whose sidecar looks for such ConfigMaps."""

from __future__ import annotations

import json

import pulumi

from infra.config.settings import Settings
from infra.kubernetes.site import Site
from monitoring.objectives.slo import Objective
from platforms.kubernetes import grafana


class Dashboard(pulumi.ComponentResource):
    """The stack's dashboard.

    Creates:
        A ConfigMap with the label `grafana_dashboard`, which holds it as Grafana reads it.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        settings: Settings,
        objective: Objective,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the dashboard.

        Args:
            name: The logical name.
            site: Where it is.
            settings: The stack's config.
            objective: What users are promised.
            opts: Options of the component.
        """
        super().__init__("modelstack:kubernetes:Dashboard", name, None, opts)
        prefix = site.names.prefix
        content = grafana.dashboard(prefix, site.names.namespace, settings.monitoring.panels(objective))
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{prefix}-dashboard"},
            "data": {f"{site.names.file}.json": json.dumps(content, sort_keys=True, ensure_ascii=False)},
        }
        site.declare("dashboard", manifest, pulumi.ResourceOptions(parent=self), labels=grafana.LABEL)
        self.register_outputs({"dashboard": f"{prefix}-dashboard"})
