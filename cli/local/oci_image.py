"""Makes the images for Kubernetes without a container engine, and pushes them to a registry, by digest.

    published("registry.example:5000/models", print)     # …/serving@sha256:… and …/controller@sha256:…

An image is the Debian that `make image` makes too, the libraries of a lock, and code. What its Dockerfile does in a
build is done here by unpacking; how it is run, the Dockerfile says. The same content gives the same digest.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cli.errors import OperatorError
from cli.local.container import SUITE, can_make_debian, controller_files, debian
from cli.local.dockerfile import run_as
from cli.local.layers import Layer, layer, of_root
from cli.local.libraries import compile_all, install
from cli.local.wheels import wheels
from cli.target import ROOT
from localcloud.setup import Places
from platforms.kubernetes.oci import MANIFEST_TYPE, Registry, canonical, sha256

PYTHON = "3.11"
"""That of the base."""
LATEST = "latest"
"""The tag of what was pushed last; a program pins it by its digest before it uses it."""
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_FORMAT = 1  # raise it when layers are made otherwise of the same content
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PACKAGES, _RUNTIME = f"opt/venv/lib/python{PYTHON}/site-packages", "opt/runtime"
_OF_THE_MAKER = ("etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/log/bootstrap.log", "var/log/dpkg.log")
_VENV = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """An image for Kubernetes.

    Attributes:
        name: What it does; also the lock of its libraries, and the last part of its repository.
        dockerfile: Path of what says how it is run.
        files: The code in it, by path below `/opt/runtime`.
        slim: A script that takes out of the libraries what is never loaded; None for none.
    """

    name: str
    dockerfile: str
    files: Callable[[Path], Mapping[str, Path]]
    slim: str | None = None


def _serving(root: Path) -> Mapping[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in sorted((root / "serving").rglob("*.py"))}


SERVING = Kind("serving", "serving/Dockerfile", _serving, "serving/slim.sh")
CONTROLLER = Kind("controller", "platforms/kubernetes/Dockerfile", controller_files)


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        manifest: Its bytes.
        config: Those of its configuration.
        layers: The lowest first.
    """

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the manifest: what it is pulled by."""
        return sha256(self.manifest)


def image(layers: tuple[Layer, ...], run: Mapping[str, Any], machine: str) -> Image:
    """An image of layers. Pure."""
    content = {
        "architecture": _MACHINES[machine],
        "os": "linux",
        "config": dict(run),
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
    }
    config = canonical(content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [one.descriptor for one in layers],
    }
    return Image(canonical(manifest), config, layers)


def made(kind: Kind, folder: Path, say: Say, root: Path = ROOT) -> Image:
    """Make an image; its base and its libraries are made once for each content.

    Args:
        kind: Which.
        folder: Where what is made each time is put; it must be there until the image is pushed.
        say: Called with what is being done.
        root: The checkout.

    Raises:
        OperatorError: It cannot be made here; the message says why.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        raise OperatorError(f"no image is made for a machine of kind {machine}, only for {' and '.join(_MACHINES)}")
    code = {f"{_RUNTIME}/{name}": path for name, path in _compiled(kind.files(root), folder / kind.name).items()}
    layers = (_base(root, machine, say), _libraries(root, kind, machine, say), layer(folder / f"{kind.name}.gz", code))
    return image(layers, run_as((root / kind.dockerfile).read_text()), machine)


def push(made: Image, place: str, say: Say) -> str:
    """Push an image and let the tag `latest` mean it; returns `<place>@sha256:<digest>`."""
    registry = Registry.of(place)
    name = f"{place}@{made.digest}"
    if registry.manifest(made.digest) is not None:
        say(f"{name} is there already")
    else:
        say(f"pushing {name}")
        for one in made.layers:
            registry.put(one.path)
        registry.put(made.config)
    registry.put_manifest(made.manifest, MANIFEST_TYPE, LATEST)
    return name


def published(registry: str, say: Say, kinds: tuple[Kind, ...] = (SERVING, CONTROLLER)) -> dict[str, str]:
    """Make and push the images; their names by digest, by what they do.

    Args:
        registry: `HOST[:PORT][/PREFIX]`, below which each has its repository.
        say: Called with what is being done.
        kinds: Which.

    Raises:
        OperatorError: One cannot be made here.
        OciError: The registry does not take it.
    """
    with TemporaryDirectory(prefix="modelstack-oci-") as folder:
        return {kind.name: push(made(kind, Path(folder), say), f"{registry}/{kind.name}", say) for kind in kinds}


def _base(root: Path, machine: str, say: Say) -> Layer:
    def make(path: Path) -> Layer:
        if not can_make_debian():
            raise OperatorError(
                "an image cannot be made without a container engine here: that takes root and `debootstrap`",
                "On Debian, as root: `apt-get install debootstrap`. Or lay the contexts out for any builder: "
                "`python -m cli.local.image --context FOLDER`.",
            )
        return of_root(path, debian(say), _OF_THE_MAKER)

    return _kept(root, f"base-{SUITE}-{machine}-{_FORMAT}", make)


def _libraries(root: Path, kind: Kind, machine: str, say: Say) -> Layer:
    lock = root / "requirements" / f"{kind.name}.txt"
    slim = (root / kind.slim).read_bytes() if kind.slim else b""
    made_of = hashlib.sha256(lock.read_bytes() + slim + f"{PYTHON} {machine} {sys.version_info[:3]}".encode())

    def make(path: Path) -> Layer:
        say(f"unpacking the libraries of {lock.relative_to(root)}")
        with TemporaryDirectory(prefix="modelstack-libraries-") as named:
            packages, venv = Path(named, "packages"), Path(named, "venv")
            install(wheels(root, kind.name, PYTHON, say), packages)
            if kind.slim:
                subprocess.run(["sh", str(root / kind.slim), str(packages)], check=True)
            compile_all(packages, f"/{_PACKAGES}", PYTHON)
            venv.mkdir()
            (venv / "pyvenv.cfg").write_text(_VENV)
            for name, to in (("python", "/usr/bin/python3"), ("python3", "python")):
                (venv / name).symlink_to(to)
            files = {f"{_PACKAGES}/{_name(path, packages)}": path for path in packages.rglob("*") if path.is_file()}
            files |= {"opt/venv/pyvenv.cfg": venv / "pyvenv.cfg"}
            files |= {f"opt/venv/bin/{name}": venv / name for name in ("python", "python3")}
            return layer(path, files)

    return _kept(root, f"libraries-{kind.name}-{made_of.hexdigest()[:12]}-{_FORMAT}", make)


def _compiled(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Code and what it compiles to, copied into a folder, by path below it."""
    for name, path in files.items():
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    compile_all(folder, f"/{_RUNTIME}", PYTHON)
    return {_name(path, folder): path for path in folder.rglob("*") if path.is_file()}


def _kept(root: Path, name: str, make: Callable[[Path], Layer]) -> Layer:
    """A layer that is made once on this machine."""
    folder = Places.of(root).cache / "oci-layers"
    path, facts = folder / f"{name}.tar.gz", folder / f"{name}.json"
    if path.is_file() and facts.is_file():
        known: dict[str, Any] = json.loads(facts.read_text())
        return Layer(path, known["digest"], known["diff_id"], known["size"])
    one = make(path)
    part = facts.with_suffix(".part")
    part.write_text(json.dumps({**asdict(one), "path": path.name}))
    part.replace(facts)
    return one


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
