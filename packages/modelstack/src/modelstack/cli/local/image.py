"""`make image`: builds a stack's images, and pushes them to its registry, by digest."""

from __future__ import annotations

import base64
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import click
from rich.console import Console

from modelstack.cli.error_handling import show_error
from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.local import cluster_image
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.cluster import on_cluster
from modelstack.cli.local.container import (
    CONTROLLER,
    ONE_DOCKER_MANIFEST,
    SERVING,
    TRAINING,
    Engine,
    ImageKind,
    base_image,
    image_tag,
    python_of,
)
from modelstack.cli.local.stack import Stack
from modelstack.cli.local.wheels import wheels
from modelstack.cli.page import Page
from modelstack.cli.target import LOCAL, project_root

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The only manifest type that SageMaker accepts."""
START_ENGINE = "Start one; on Debian: `apt-get install docker.io`, then `dockerd` as root."
NO_ENGINE_HINT = f"{START_ENGINE} Without one, the local stack runs the same entry point as a process."


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stack", default="local", show_default=True, help="The stack whose registry takes the image.")
@click.option("--repository", default=None, help="URI of the repository, instead of the stack's.")
@click.option(
    "--base-image", default=None, help="Base image with Python 3.11 and venv; by default Debian's, made here."
)
@click.option(
    "--context",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only write the build contexts into this folder.",
)
def main(stack: str, repository: str | None, base_image: str | None, context: Path | None) -> None:
    """Build a stack's images, push them, and say how the stack takes them.

    A stack on Kubernetes takes what serves and the controller; these are built by buildah, without a Docker engine.
    """
    console = Page(highlight=False, soft_wrap=True, emoji=False)
    try:
        if context is not None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            root = project_root()
            for kind in (SERVING, TRAINING, CONTROLLER):
                kind.lay_out(root, wheels(root, kind.name, version, console.print), context / kind.name)
                build = f"docker build {' '.join(ONE_DOCKER_MANIFEST)} {context / kind.name}"
                console.print(f"context: {context / kind.name}; build it with `{build}`", markup=False)
            return
        if on_cluster(Stack(stack)):
            push_for_cluster(Stack(stack), console)
            return
        build_and_push(stack, repository, base_image, console)
    except OperatorError as error:
        show_error(console, error)
        sys.exit(error.exit_code)


def push_for_cluster(stack: Stack, console: Console) -> None:
    """Build and push the images of a stack on Kubernetes, and print the next command; OperatorError if a step fails."""
    section = (stack.written().get("config") or {}).get("modelstack:kubernetes") or {}
    registry = section.get("registry")
    if not registry:
        raise OperatorError(
            f"the file of stack {stack.name} has no {CONTROLLER.setting}", "Write there where images go.", 2
        )
    with explained(f"making the images for {registry}"):
        for name, pushed in cluster_image.published(registry, console.print).items():
            console.print(f"{name}  {pushed}", markup=False)
    console.print(f"next\n       pulumi up --stack {stack.name}", markup=False)


def build_and_push(stack: str, repository: str | None, base: str | None, console: Console) -> None:
    """Build and push a stack's images, and print the next commands; OperatorError if a step fails."""
    engine = Engine.find(NO_ENGINE_HINT)
    if stack.startswith(LOCAL):
        Local.here()
    to = Repository.at(repository or _repository_of(stack))
    base = base or base_image(engine, console.print)
    named = {kind: published(engine, kind, base, to, console) for kind in (SERVING, TRAINING)}
    for kind, name in named.items():
        console.print(f"{kind.word}  {name}", markup=False)
    console.print("next", markup=False)
    for kind, name in named.items():
        console.print(f"       pulumi config set --stack {stack} --path {kind.setting} {name}", markup=False)
    console.print(f"       pulumi up --stack {stack}", markup=False)


@dataclass(frozen=True)
class Repository:
    """A repository (`uri` is `<registry>/<name>`) of ECR or of the local cloud."""

    uri: str
    ecr: Any

    @classmethod
    def at(cls, uri: str) -> Repository:
        """The repository of a URI, in its region."""
        return cls(uri, boto3.client("ecr", region_name=region_of(uri.partition("/")[0])))

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return self.uri.partition("/")[2]

    def find(self, tag: str) -> str | None:
        """The image of a tag, as `<repository>@sha256:<digest>`; None without one.

        OperatorError if SageMaker does not accept the image, or the registry does not answer.
        """
        with explained(f"looking up {self.uri}:{tag}"):
            try:
                found = self.ecr.describe_images(repositoryName=self.name, imageIds=[{"imageTag": tag}])["imageDetails"]
            except self.ecr.exceptions.ImageNotFoundException:
                found = []
        if not found:
            return None
        kind = found[0].get("imageManifestMediaType")
        if kind != DOCKER_MANIFEST:
            raise OperatorError(
                f"{self.uri}:{tag} is a manifest of type {kind}, and SageMaker takes {DOCKER_MANIFEST} only",
                f"Remove it: `aws ecr batch-delete-image --repository-name {self.name} --image-ids imageTag={tag}`, "
                "and what the engine has (`docker image ls` shows modelstack-serving and modelstack-training). Then "
                "build again with Docker's own `docker build`.",
            )
        return f"{self.uri}@{found[0]['imageDigest']}"

    def push(self, engine: Engine, built: str, tag: str, console: Console) -> str:
        """Push an image; returns `<repository>@sha256:<digest>`. Raises as `find`."""
        host = os.environ.get("AWS_ENDPOINT_URL", "").partition("://")[2].rstrip("/") or self.uri.partition("/")[0]
        with explained(f"logging in to {host}"):
            token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        console.print(f"pushing to {host}/{self.name}")
        engine.push(built, f"{host}/{self.name}:{tag}", host, user, password)
        pushed = self.find(tag)
        if pushed is None:
            raise OperatorError(f"{self.uri} has no image {tag} after the push")
        return pushed


def published(engine: Engine, kind: ImageKind, base: str, to: Repository, console: Console) -> str:
    """Build and push this checkout's image if the repository lacks it; returns `<repository>@sha256:<digest>`.

    The tag depends on the inputs and never moves. Builds are not reproducible, so an image is pushed once.
    """
    with TemporaryDirectory(prefix="modelstack-image-") as folder:
        root = project_root()
        kind.lay_out(root, wheels(root, kind.name, python_of(engine, base), console.print), Path(folder))
        made_from = image_tag(Path(folder), engine.image_id(base))
        tag = f"{made_from}{kind.suffix}"
        if (there := to.find(tag)) is not None:
            console.print(f"{to.uri}:{tag} is there already")
            return there
        built = f"modelstack-{kind.name}:{made_from}"
        if not engine.image_id(built):
            console.print(f"building {built} on {base}")
            engine.build(Path(folder), built, base)
    return to.push(engine, built, tag, console)


def region_of(registry: str) -> str | None:
    """The region in the name of an ECR registry; None, for the session's, if it has none."""
    found = re.fullmatch(r"\d+\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", registry)
    return found[1] if found else None


def _repository_of(stack: str) -> str:
    uri = Stack(stack).outputs().get("container_repository")
    if not uri:
        raise OperatorError(
            f"stack {stack} has no output `container_repository` yet",
            "For the local stack: `make up`. For another, `pulumi up` makes its registry first.",
        )
    return str(uri)


if __name__ == "__main__":
    main()
