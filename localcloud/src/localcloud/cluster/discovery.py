"""Tells Prometheus which pods to scrape: Debian's is built without its own discovery of Kubernetes.

    python -m localcloud.cluster.discovery PKI-FOLDER FILE

A pod asks for it by the usual annotations: `prometheus.io/scrape: "true"`, `prometheus.io/port`, and
`prometheus.io/path` where that is not /metrics. Prometheus sees FILE change at once.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from localcloud.cluster.layout import API_URL

_PODS = f"{API_URL}/api/v1/pods"
_WATCH_SECONDS = 60
_PAUSE = 0.5
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
    trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    trust.load_cert_chain(pki / "prometheus.crt", pki / "prometheus.key")
    direct, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    opener = urllib.request.build_opener(direct, https)
    while True:
        try:
            with opener.open(_PODS, timeout=10) as answered:
                listed = json.load(answered)
            _keep(file, json.dumps(targets(listed["items"]), indent=1))
            since = f"watch=1&resourceVersion={listed['metadata']['resourceVersion']}&timeoutSeconds={_WATCH_SECONDS}"
            with opener.open(f"{_PODS}?{since}", timeout=_WATCH_SECONDS + 10) as changes:
                changes.readline()
        except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)


def _keep(file: Path, text: str) -> None:
    if file.exists() and file.read_text() == text:
        return
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


if __name__ == "__main__":
    main(sys.argv[1:])
