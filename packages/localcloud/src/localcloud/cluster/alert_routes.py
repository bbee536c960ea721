"""Gives Alertmanager the routes that lie in the cluster, as the operator of people's own Alertmanager does.

    python -m localcloud.cluster.alert_routes PKI-FOLDER FILE

Each key of a ConfigMap with the label `localcluster/alertmanager: "true"` that ends in .yml or .yaml is a whole
alertmanager.yml. Its routes and receivers are put beside those of all others. Alertmanager runs on the node, outside
the cluster's DNS: so the name of a service becomes its address, and the file `secrets/NAMESPACE/SECRET/KEY` of an
authorization its content. What Alertmanager does not take changes nothing.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from localcloud.cluster import configs
from localcloud.cluster.layout import ALERTMANAGER
from localcloud.cluster.listing import keep, listed, listings, reload

LABEL = "localcluster/alertmanager"
_ENDS = (".yml", ".yaml")
_SERVICE = re.compile(r"(?<=://)([a-z0-9-]+)\.([a-z0-9-]+)(?:\.svc[a-z0-9.-]*)?(?=[:/])")


_CREDENTIALS = re.compile(r"credentials_file: secrets/([^/\s]+)/([^/\s]+)/(\S+)")


def merged(
    maps: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]],
    secrets: Iterable[Mapping[str, Any]] = (),
) -> str:
    """The alertmanager.yml of all maps together.

    Args:
        maps: ConfigMaps, as the API server lists them. One that is no config of an Alertmanager is passed over.
        services: The services of the cluster.
        secrets: The secrets of the cluster.
    """
    whole = yaml.safe_load(configs.alertmanager())
    routes, receivers = whole["route"].setdefault("routes", []), {one["name"]: one for one in whole["receivers"]}
    texts = [
        (f"{one['metadata']['namespace']}/{one['metadata']['name']}", text)
        for one in maps
        for key, text in one.get("data", {}).items()
        if key.endswith(_ENDS)
    ]
    for name, text in sorted(texts):
        try:
            found = yaml.safe_load(text)
            more, told = list(found["route"].get("routes", [])), {one["name"]: one for one in found["receivers"]}
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            print(f"ConfigMap {name} is no config of an Alertmanager: {error!r}", file=sys.stderr, flush=True)
            continue
        routes += more
        receivers |= told
    whole["receivers"] = list(receivers.values())
    known = {
        (one["metadata"]["name"], one["metadata"]["namespace"]): one["spec"].get("clusterIP", "") for one in services
    }
    text = yaml.safe_dump(whole, sort_keys=False, width=1000)
    held = {
        (one["metadata"]["namespace"], one["metadata"]["name"], key): base64.b64decode(value).decode(errors="replace")
        for one in secrets
        for key, value in (one.get("data") or {}).items()
    }
    text = _CREDENTIALS.sub(
        lambda found: f"credentials: {token}" if (token := held.get((found[1], found[2], found[3]))) else found[0], text
    )
    return _SERVICE.sub(lambda found: known.get((found[1], found[2])) or found[0], text)


def main(arguments: list[str]) -> None:
    """Write the file, and again whenever a ConfigMap changes; does not return."""
    pki, file = map(Path, arguments)
    for maps in listings(pki, f"/api/v1/configmaps?labelSelector={LABEL}%3Dtrue"):
        try:
            text = merged(maps, listed(pki, "/api/v1/services"), listed(pki, "/api/v1/secrets"))
        except OSError as error:
            print(f"services and secrets are not listed: {error}", file=sys.stderr, flush=True)
            continue
        before = file.read_text()
        if keep(file, text) and (said := reload(ALERTMANAGER)):
            print(f"Alertmanager does not take its routes: {said}", file=sys.stderr, flush=True)
            keep(file, before)


if __name__ == "__main__":
    main(sys.argv[1:])
