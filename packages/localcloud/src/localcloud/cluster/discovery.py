"""Tells Prometheus which pods to scrape: Debian's is built without its own discovery of Kubernetes.

    python -m localcloud.cluster.discovery PKI-FOLDER FILE

A pod asks for it by the usual annotations: `prometheus.io/scrape: "true"`, `prometheus.io/port`, and
`prometheus.io/path` where that is not /metrics. Prometheus sees FILE change at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from localcloud.cluster.listing import keep, listings

_ANNOTATION = "prometheus.io"


def targets(pods: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What Prometheus is told, in the form of its `file_sd_configs`.

    Args:
        pods: As the API server lists them.

    Returns:
        One group for each pod that runs and asks for it, by namespace and name.
    """
    groups = []
    for pod in pods:
        meta, status = pod["metadata"], pod.get("status", {})
        asked = meta.get("annotations", {})
        address, port = status.get("podIP"), asked.get(f"{_ANNOTATION}/port")
        wanted = asked.get(f"{_ANNOTATION}/scrape") == "true" and address and port
        if wanted and status.get("phase") == "Running":
            labels = {"namespace": meta["namespace"], "pod": meta["name"]}
            labels["__metrics_path__"] = asked.get(f"{_ANNOTATION}/path", "/metrics")
            groups.append({"targets": [f"{address}:{port}"], "labels": labels})
    return sorted(groups, key=lambda group: (group["labels"]["namespace"], group["labels"]["pod"]))


def main(arguments: list[str]) -> None:
    """Write the file, and again whenever a pod changes; does not return."""
    pki, file = map(Path, arguments)
    for pods in listings(pki, "/api/v1/pods"):
        keep(file, json.dumps(targets(pods), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
