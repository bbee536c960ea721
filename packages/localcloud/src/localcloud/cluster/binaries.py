"""The programs of a cluster that no package registry has ready-made: built from their Go modules, once a version."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.setup import environments, golang
from localcloud.setup.commands import require_space
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.places import Places, own_lock

MODULES = Path(__file__).with_name("modules")
KUBERNETES, GATEWAY, DNS = "v1.34.4", "v1.9.1", "v1.14.7"
_STAMP = {"gitVersion": KUBERNETES, "gitMajor": "1", "gitMinor": "34", "gitTreeState": "clean"}
_STAMPED = "-s -w" + "".join(f" -X k8s.io/component-base/version.{name}={value}" for name, value in _STAMP.items())


@dataclass(frozen=True)
class Made:
    """Commands that are built together.

    Attributes:
        what: As a person reads it.
        module: The name of its folder in `modules/`.
        packages: The commands' packages; each command is named as its package's last part.
        gigabytes: Room that building it takes at most.
        ldflags: For the linker.
        crds: Folders of YAML that go with them: `module:path`.
    """

    what: str
    module: str
    packages: tuple[str, ...]
    gigabytes: float
    ldflags: str = "-s -w"
    crds: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum are."""
        return MODULES / self.module

    @property
    def commands(self) -> tuple[str, ...]:
        """What the commands are called."""
        return tuple(package.rpartition("/")[2] for package in self.packages)

    def place(self, cache: Path) -> Path:
        """Where the commands lie in a cache: another version, or other flags, is another folder."""
        inputs = sorted(path for path in self.folder.iterdir() if path.suffix in (".mod", ".sum", ".go"))
        content = b"".join(path.read_bytes() for path in inputs) + f"{self.packages}{self.ldflags}".encode()
        return cache / f"cluster-{self.module}-{hashlib.sha256(content).hexdigest()[:12]}" / "bin"


_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
ALL = (
    Made("the pause program", "pause", ("localcloud/pause",), 0.5),
    Made(f"CoreDNS {DNS}", "coredns", ("localcloud/coredns",), 2.0),
    Made(
        f"Kubernetes {KUBERNETES}",
        "kubernetes",
        tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS),
        8.0,
        _STAMPED,
    ),
    Made(
        f"Envoy Gateway {GATEWAY}",
        "gateway",
        ("github.com/envoyproxy/gateway/cmd/envoy-gateway",),
        8.0,
        crds=(
            "sigs.k8s.io/gateway-api:config/crd/standard",
            "github.com/envoyproxy/gateway:charts/gateway-helm/charts/crds/crds/generated",
        ),
    ),
)
ENVOY = "envoy"


@dataclass(frozen=True)
class Provided:
    """What a cluster runs.

    Attributes:
        programs: The name of each command -> its path.
        crds: The folders of the custom resources' definitions, in the order in which they are applied.
    """

    programs: Mapping[str, Path]
    crds: tuple[Path, ...]


def provide(places: Places, installer: Installer) -> Provided:
    """Build what was not built yet, and install Envoy, which PyPI has ready-made.

    Raises:
        SetupFailed: It could not be built.
    """
    for made in ALL:
        place = made.place(places.cache)
        if not _whole(made, place):
            with exclusive(places.cache / f".{made.module}.lock", made.what):
                if not _whole(made, place):
                    _build(made, place, places, installer)
    environment = environments.cached(places, installer, own_lock(ENVOY))
    envoy = next(environment.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    found = provided(places.cache)
    return Provided({**found.programs, ENVOY: envoy}, found.crds)


def provided(cache: Path) -> Provided:
    """Where everything that is built is, or will be."""
    programs = {command: made.place(cache) / command for made in ALL for command in made.commands}
    return Provided(programs, tuple(folder for made in ALL for folder in _crds(made, made.place(cache))))


def unbuilt(places: Places) -> list[str]:
    """What `provide` would build or install, as a person reads it; empty when a cluster starts at once."""
    environment = places.cached(own_lock(ENVOY))
    built = [made.what for made in ALL if not _whole(made, made.place(places.cache))]
    return built if environment.exists() else [*built, "Envoy"]


def _whole(made: Made, place: Path) -> bool:
    return all(path.exists() for path in (*(place / command for command in made.commands), *_crds(made, place)))


def _crds(made: Made, place: Path) -> list[Path]:
    return [place.parent / f"crds-{number}" for number in range(len(made.crds))]


def _build(made: Made, place: Path, places: Places, installer: Installer) -> None:
    require_space(places.cache, made.gigabytes, f"Building {made.what}")
    with golang.found(places, installer, made.folder) as go:
        build = golang.Build(made.what, made.folder, made.packages, made.ldflags)
        log = places.logs / f"{made.module}.log"
        golang.build(go, build, place, log)
        for origin, folder in zip(made.crds, _crds(made, place), strict=True):
            module, _, path = origin.partition(":")
            _copy(golang.source(go, made.folder, module, log) / path, folder)


def _copy(origin: Path, folder: Path) -> None:
    """Copy the YAML files of a folder; they appear when all are there."""
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    new.mkdir(parents=True)
    for file in origin.glob("*.yaml"):
        (new / file.name).write_bytes(file.read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
