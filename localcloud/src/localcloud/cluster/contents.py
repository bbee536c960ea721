"""What a cluster has in it from the start: names, the Gateway API, and the images that these take."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template

from localcloud.cluster import configs, images
from localcloud.cluster.api import Api
from localcloud.cluster.binaries import ENVOY, GATEWAY, Provided
from localcloud.cluster.images import Entry
from localcloud.cluster.layout import DNS_SERVICE, REGISTRY, Layout

_MANIFESTS = Path(__file__).with_name("manifests")
_SECONDS = 120


def pause(layout: Layout, programs: Mapping[str, Path]) -> str:
    """Push the image that holds a pod's namespaces, and give its reference."""
    return _push(layout, "pause", [Entry("pause", programs["pause"], 0o755)], "/pause")


def furnish(layout: Layout, provided: Provided, api: Api, say: Callable[[str], None]) -> None:
    """Put everything into a cluster whose node is ready; what is there already stays, or becomes as it should be.

    Raises:
        SetupFailed: The API server refuses something, or it does not become ready.
    """
    with ThreadPoolExecutor(4) as pool:
        named = pool.submit(_images, layout, provided.programs)
        api.apply(what="its own roles", given=_filled("access", {}))
        for folder in provided.crds:
            api.apply("-f", str(folder), what=f"the definitions in {folder}")
        values = named.result()
    api.apply(what="the cluster's names", given=_filled("dns", values))
    api.wait("wait", "--for=condition=Established", "crd", "--all", seconds=_SECONDS, what="the Gateway API")
    api.apply(what="the gateway", given=_filled("gateway", values))
    say("cluster: waiting for its names and its gateway ...")
    for namespace, name in (("kube-system", "coredns"), ("envoy-gateway-system", "envoy-gateway")):
        api.wait("rollout", "status", f"deployment/{name}", "-n", namespace, seconds=_SECONDS, what=name)
    api.wait(
        "wait", "--for=condition=Accepted", "gatewayclass/localcluster", seconds=_SECONDS, what="GatewayClass localcluster"
    )  # fmt: skip


def _images(layout: Layout, programs: Mapping[str, Path]) -> dict[str, str]:
    """Push the images of what runs in pods. Placeholder of a manifest -> what it stands for."""
    command, envoy = "usr/local/bin/envoy-gateway", "usr/local/bin/envoy"
    gateway = [Entry(command, programs["envoy-gateway"], 0o755), Entry("tmp", mode=0o1777)]
    loaded = [Entry(envoy, programs[ENVOY], 0o755), *images.libraries(programs[ENVOY]), Entry("tmp", mode=0o1777)]
    return {
        "gateway": _push(layout, "envoy-gateway", gateway, f"/{command}"),
        "envoy": _push(layout, "envoy", loaded, f"/{envoy}"),
        "coredns": _push(layout, "coredns", [Entry("coredns", programs["coredns"], 0o755)], "/coredns"),
        "corefile": json.dumps(configs.names()),
        "dns_service": DNS_SERVICE,
        "version": GATEWAY.replace(".", "-"),
    }


def _push(layout: Layout, name: str, entries: list[Entry], command: str) -> str:
    folder = layout.state / "images"
    image = images.of(entries, folder, command=[command])
    try:
        return images.push(image, REGISTRY, f"localcluster/{name}")
    finally:
        image.layer.unlink()


def _filled(manifest: str, values: Mapping[str, str]) -> str:
    return Template((_MANIFESTS / f"{manifest}.yaml").read_text()).substitute(values)
