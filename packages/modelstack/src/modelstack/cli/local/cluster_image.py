"""Builds the images for Kubernetes with `buildah`, which needs no Docker engine, and pushes them to a registry."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.container import (
    CONTROLLER,
    DEBIAN_BASE,
    PUBLIC_BASE,
    SERVING,
    ImageKind,
    can_make_debian,
    debian,
    image_tag,
)
from modelstack.cli.local.wheels import wheels
from modelstack.cli.target import project_root
from modelstack.platforms.kubernetes.oci import MANIFEST_TYPE, OciRepository
from modelstack.serving.registry_protocol import is_insecure

PYTHON = "3.11"  # of the base image
LATEST = "latest"  # tag of the last push; a program resolves it to a digest before use
_OWN = "localhost/"
_BUILD = ("--isolation", "chroot", "--network", "host", "--layers", "--timestamp", "0")
"""Options for a build that also works in a container, and repeats only steps whose input changed."""
Say = Callable[[str], None]


def published(registry: str, say: Say, kinds: tuple[ImageKind, ...] = (SERVING, CONTROLLER)) -> dict[str, str]:
    """Build and push images; returns kind -> name by digest. `registry` is `HOST[:PORT][/PREFIX]`."""
    return {kind.name: push(built(kind, say), f"{registry}/{kind.name}", say) for kind in kinds}


def built(kind: ImageKind, say: Say) -> str:
    """Build the image of this checkout unless it exists here; returns its name. OperatorError if that fails."""
    base, root = _base(say), project_root()
    with TemporaryDirectory(prefix="modelstack-image-") as folder:
        kind.lay_out(root, wheels(root, kind.name, PYTHON, say), Path(folder))
        name = f"{_OWN}modelstack-{kind.name}:{image_tag(Path(folder), _image_id(base))}"
        if not _image_id(name):
            say(f"building {name.removeprefix(_OWN)} on {base.removeprefix(_OWN)}")
            _buildah("build", *_BUILD, "--build-arg", f"BASE_IMAGE={base}", "--tag", name, folder)
    return name


def push(built: str, place: str, say: Say) -> str:
    """Push an image and tag it `latest`; returns `<place>@sha256:<digest>`. Raises as `published`."""
    registry, tag = OciRepository.of(place), built.rpartition(":")[2]
    found = registry.manifest(tag)
    if found is None:
        say(f"pushing {place}:{tag}")
        _buildah("push", "--quiet", "--format", "oci", *_access(place), built, f"docker://{place}:{tag}")
        found = registry.manifest(tag)
    else:
        say(f"{place}:{tag} is there already")
    if found is None:
        raise OperatorError(f"{place} has no image {tag} after the push")
    registry.put_manifest(found.content, MANIFEST_TYPE, LATEST)
    return f"{place}@{found.digest}"


def _base(say: Say) -> str:
    """A base image with Python: Debian's, made here once where possible, else the public one."""
    own = f"{_OWN}{DEBIAN_BASE}"
    if _image_id(own):
        return own
    if not can_make_debian():
        _buildah("pull", "--quiet", "--policy", "missing", PUBLIC_BASE)
        return PUBLIC_BASE
    with TemporaryDirectory(prefix="modelstack-base-") as folder:
        Path(folder, "root.tar").write_bytes(debian(say))
        Path(folder, "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        _buildah("build", *_BUILD, "--tag", own, folder)
    return own


def _image_id(name: str) -> str:
    """The id of a local image; empty without one."""
    return _buildah("images", "--quiet", "--no-trunc", "--filter", f"reference={name}")


def _access(place: str) -> tuple[str, ...]:
    """Options for the access that `OciRepository` has: Docker's login, and without TLS where allowed."""
    login = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    plain = ("--tls-verify=false",) if is_insecure(place.partition("/")[0], os.environ) else ()
    return (*plain, *(("--authfile", str(login)) if login.is_file() else ()))


def _buildah(*words: str) -> str:
    try:
        done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OperatorError(
            "the images for Kubernetes are built by `buildah`, which is not on PATH",
            "On Debian, as root: `apt-get install buildah debootstrap`. Or lay the contexts out for any builder: "
            "`python -m modelstack.cli.local.image --context FOLDER`.",
        ) from None
    if done.returncode:
        said = (done.stdout + "\n" + done.stderr).strip().splitlines()
        raise OperatorError(f"buildah {words[0]} failed: " + "\n  ".join(said[-8:] or ["no reason given"]))
    return done.stdout.strip()
