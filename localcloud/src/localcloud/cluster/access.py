"""What points a client at the cluster of a checkout?"""

from __future__ import annotations

from localcloud.cluster import database, processes
from localcloud.cluster.layout import ALERTMANAGER, PROMETHEUS, REGISTRY, Layout
from localcloud.setup.places import Places


def layout_of(places: Places) -> Layout:
    """Where the cluster of a checkout lies."""
    return Layout(places.cluster)


def variables(places: Places) -> dict[str, str]:
    """The environment variables, name -> value; none while the cluster does not run."""
    layout = layout_of(places)
    if not layout.state.exists() or layout.state not in processes.owners():
        return {}
    return {
        "KUBECONFIG": str(layout.kubeconfig),
        "LOCALCLUSTER_REGISTRY": REGISTRY,
        "LOCALCLUSTER_PROMETHEUS": f"http://{PROMETHEUS}",
        "LOCALCLUSTER_RULES": str(layout.rules),
        "LOCALCLUSTER_ALERTMANAGER": f"http://{ALERTMANAGER}",
        "LOCALCLUSTER_DATABASE": database.url(layout),
    }
