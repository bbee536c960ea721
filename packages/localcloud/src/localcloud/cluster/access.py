"""What points a client at the cluster of a checkout? Told to who asks, and written for `localcloud.setup.shell`."""

from __future__ import annotations

import json
from pathlib import Path

from localcloud.cluster import database, processes
from localcloud.cluster.layout import ALERTMANAGER, NAMESPACE, PROMETHEUS, REGISTRY, Layout
from localcloud.setup.places import Places

_NETWORK = Path("/run/netns", NAMESPACE)


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


def write(places: Places) -> None:
    """Write them down, with the network that they are of: another one is that of another cluster."""
    network = {"path": str(_NETWORK), "inode": _NETWORK.stat().st_ino}
    places.cluster_access.write_text(json.dumps({"network": network, "variables": variables(places)}, indent=1))
