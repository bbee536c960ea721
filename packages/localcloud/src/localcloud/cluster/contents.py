"""What a cluster has in it from the start: names, the Gateway API, and the images that these take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from string import Template

from localcloud.cluster import configs, images
from localcloud.cluster.api import Api
from localcloud.cluster.binaries import ENVOY, Provided
from localcloud.cluster.images import Entry
from localcloud.cluster.layout import DNS_SERVICE, REGISTRY, Layout

_MANIFESTS = Path(__file__).with_name("manifests")
_EARLY, _LATE = ("access", "dns", "gateway-rights"), "gateway"
_DEPLOYMENTS = (("kube-system", "coredns"), ("envoy-gateway-system", "envoy-gateway"))
_SECONDS = 120


class Images:
    """The images of what runs in pods, pushed to the cluster's registry.

    Args:
        layout: Where the cluster lies.
        programs: Name -> path.
    """

    def __init__(self, layout: Layout, programs: Mapping[str, Path]) -> None:
        self._layout, self._programs = layout, programs
        self._pool = ThreadPoolExecutor(4)
        self._pushed: dict[str, Future[str]] = {}

    def begin(self) -> str:
        """Push the image that holds a pod's namespaces, and begin with the others, which takes some seconds.

        Returns:
            The reference of the first.
        """
        gateway, envoy = "usr/local/bin/envoy-gateway", "usr/local/bin/envoy"
        scratch = Entry("tmp", mode=0o1777)
        contents = {
            "coredns": [Entry("coredns", self._programs["coredns"], 0o755)],
            "gateway": [Entry(gateway, self._programs["envoy-gateway"], 0o755), scratch],
            "envoy": [Entry(envoy, self._programs[ENVOY], 0o755), *images.libraries(self._programs[ENVOY]), scratch],
        }
        for name, entries in contents.items():
            self._pushed[name] = self._pool.submit(_push, self._layout, name, entries)
        return _push(self._layout, "pause", [Entry("pause", self._programs["pause"], 0o755)])

    def references(self) -> dict[str, str]:
        """Name -> reference by digest of each image that was begun with, when all are pushed."""
        return {name: pushed.result() for name, pushed in self._pushed.items()}


def furnish(layout: Layout, provided: Provided, api: Api, pushed: Images, say: Callable[[str], None]) -> None:
    """Put everything into a cluster whose node is ready; what is there already stays, or becomes as it should be.

    Raises:
        SetupFailed: The API server refuses something, or it does not become ready.
    """
    values = _values(pushed.references())
    wanted = hashlib.sha256()
    for part in (*(_filled(name, values) for name in (*_EARLY, _LATE)), *map(str, provided.crds)):
        wanted.update(part.encode())
    done = layout.state / "furnished"
    if not (done.exists() and done.read_text() == wanted.hexdigest() and _there(api)):
        _apply(provided, api, values)
        done.write_text(wanted.hexdigest())
        say("cluster: waiting for its names and its gateway ...")
    for namespace, name in _DEPLOYMENTS:
        api.wait("rollout", "status", f"deployment/{name}", "-n", namespace, seconds=_SECONDS, what=name)
    accepted = ("wait", "--for=condition=Accepted", "gatewayclass/localcluster")
    api.wait(*accepted, seconds=_SECONDS, what="GatewayClass localcluster")


def _values(references: Mapping[str, str]) -> dict[str, str]:
    """Placeholder of a manifest -> what it stands for."""
    values = {"corefile": json.dumps(configs.names()), "dns_service": DNS_SERVICE, **references}
    # A Job is never changed: another image, or another text, is another one.
    version = hashlib.sha256(f"{_text('gateway-rights')}{values['gateway']}".encode()).hexdigest()[:10]
    return {**values, "version": version}


def _there(api: Api) -> bool:
    """Whether nobody took away what was put in."""
    named = (("deployment", namespace, name) for namespace, name in _DEPLOYMENTS)
    asked = (("gatewayclass", "default", "localcluster"), *named)
    return all(api.kubectl("get", kind, name, "-n", namespace).returncode == 0 for kind, namespace, name in asked)


def _apply(provided: Provided, api: Api, values: Mapping[str, str]) -> None:
    with ThreadPoolExecutor(1) as beside:  # the definitions take the longest; what needs none begins meanwhile
        folders = [word for folder in provided.crds for word in ("-f", str(folder))]
        defined = beside.submit(api.apply, *folders, what="the Gateway API's definitions")
        api.apply(what="what comes with a cluster", given="---\n".join(_filled(name, values) for name in _EARLY))
        defined.result()
    api.wait("wait", "--for=condition=Established", "crd", "--all", seconds=_SECONDS, what="the Gateway API")
    api.apply(what="the gateway", given=_filled(_LATE, values))


def _push(layout: Layout, name: str, entries: list[Entry]) -> str:
    """Make an image whose first entry is what runs, push it, and give its reference; once, for the same files."""
    sources = [(entry.path, str(entry.source), entry.source.stat().st_mtime_ns) for entry in entries if entry.source]
    record = layout.state / "images" / f"{name}-{hashlib.sha256(repr(sources).encode()).hexdigest()[:16]}"
    if record.exists():
        return record.read_text()
    image = images.of(entries, record.parent, command=[f"/{entries[0].path}"])
    try:
        reference = images.push(image, REGISTRY, f"localcluster/{name}")
    finally:
        image.layer.unlink()
    record.write_text(reference)
    return reference


def _filled(manifest: str, values: Mapping[str, str]) -> str:
    return Template(_text(manifest)).substitute(values)


def _text(manifest: str) -> str:
    return (_MANIFESTS / f"{manifest}.yaml").read_text()
