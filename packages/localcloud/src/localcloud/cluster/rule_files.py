"""Gives Prometheus the rules that lie in the cluster, as the sidecar of people's own Prometheus does.

    python -m localcloud.cluster.rule_files PKI-FOLDER FOLDER

Each key of a ConfigMap with the label `localcluster/rules: "true"` that ends in .yml or .yaml is a rule file. A file
that Prometheus cannot read leaves all rules as they were; its log, and `promtool`, say why.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from localcloud.cluster.layout import PROMETHEUS
from localcloud.cluster.listing import keep, listings, reload

LABEL = "localcluster/rules"
_ENDS = (".yml", ".yaml")
_OURS = "configmap."


def files(maps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The rule files of ConfigMaps, by name: the namespace, the map and the key make it."""
    return {
        f"{_OURS}{one['metadata']['namespace']}.{one['metadata']['name']}.{key.rpartition('.')[0]}.yml": text
        for one in maps
        for key, text in one.get("data", {}).items()
        if key.endswith(_ENDS)
    }


def main(arguments: list[str]) -> None:
    """Write the files, and again whenever a ConfigMap changes; does not return."""
    pki, folder = map(Path, arguments)
    for maps in listings(pki, f"/api/v1/configmaps?labelSelector={LABEL}%3Dtrue"):
        wanted = files(maps)
        changed = [name for name, text in wanted.items() if keep(folder / name, text)]
        for path in folder.glob(f"{_OURS}*.yml"):
            if path.name not in wanted:
                path.unlink()
                changed.append(path.name)
        if changed and (said := reload(PROMETHEUS)):
            print(f"Prometheus does not take its rules: {said}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
